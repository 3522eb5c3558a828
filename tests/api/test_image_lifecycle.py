"""The stages of an image's life: deprecated, disabled, protected from deregistration. The clock is moved, so this has a server of its own, with two accounts."""

import datetime

import pytest
from botocore.exceptions import ClientError
from conftest import ApiError, Server, World
from test_clock import clock
from test_sharing import launch, share, visible

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lifecycle") / "data")
    server.query("DisableImageBlockPublicAccess")
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def owner(cloud):
    return World(cloud.client("ec2"))


@pytest.fixture(scope="module")
def other_key(cloud):
    return cloud.account("other")[1]


@pytest.fixture
def other(cloud, other_key):
    return World(cloud.client("ec2", key=other_key))


@pytest.fixture
def image(owner, request):
    made = owner.image(request.node.name[:100])
    yield made
    if visible(owner, made):
        owner.ec2.deregister_image(ImageId=made)


def now(cloud):
    return datetime.datetime.fromtimestamp(clock(cloud)[1]["now_ms"] / 1000, datetime.timezone.utc)


def deprecation(world, image):
    text = world.shown_image(image).get("DeprecationTime")
    return text and datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_deprecated_image_is_launched_by_those_who_know_it(cloud, owner, other, image):
    share(owner, image, Group="all")
    at = now(cloud) + datetime.timedelta(hours=2)
    assert owner.ec2.enable_image_deprecation(ImageId=image, DeprecateAt=at)["Return"] is True
    shown = deprecation(other, image)
    assert abs(shown - at) <= datetime.timedelta(seconds=30) and shown.second == 0
    assert visible(other, image) and visible(owner, image)
    clock(cloud, "POST", advance_ms=3 * HOUR_MS)
    assert visible(owner, image) and not visible(other, image)
    assert visible(other, image, IncludeDeprecated=True) and visible(other, image, ImageIds=[image])
    instance = launch(other, image)["Instances"][0]["InstanceId"]
    other.ec2.terminate_instances(InstanceIds=[instance])


def test_deprecation_is_cancelled(cloud, owner, other, image):
    share(owner, image, UserId=other.ec2.describe_security_groups()["SecurityGroups"][0]["OwnerId"])
    owner.ec2.enable_image_deprecation(ImageId=image, DeprecateAt=now(cloud) + datetime.timedelta(hours=1))
    owner.ec2.disable_image_deprecation(ImageId=image)
    clock(cloud, "POST", advance_ms=2 * HOUR_MS)
    assert visible(other, image) and deprecation(owner, image) is None


def test_dates_that_are_refused(cloud, owner, other, image):
    for days in (-1, 10 * 365 + 2):
        with pytest.raises(ClientError, match="InvalidParameterValue"):
            owner.ec2.enable_image_deprecation(ImageId=image, DeprecateAt=now(cloud) + datetime.timedelta(days=days))
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        other.ec2.enable_image_deprecation(ImageId=image, DeprecateAt=now(cloud) + datetime.timedelta(days=1))


def test_public_image_is_deprecated_after_two_years(cloud, owner, image):
    made = datetime.datetime.fromisoformat(owner.shown_image(image)["CreationDate"].replace("Z", "+00:00"))
    owner.ec2.enable_image_deprecation(ImageId=image, DeprecateAt=now(cloud) + datetime.timedelta(days=3000))
    share(owner, image, Group="all")
    assert deprecation(owner, image) == made + datetime.timedelta(days=730)
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        owner.ec2.disable_image_deprecation(ImageId=image)
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        owner.ec2.enable_image_deprecation(ImageId=image, DeprecateAt=made + datetime.timedelta(days=731))
    owner.ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    owner.ec2.disable_image_deprecation(ImageId=image)
    assert deprecation(owner, image) is None


def test_disabled_image_is_nobodys_but_its_owners(cloud, other_key, owner, other, image):
    share(owner, image, Group="all")
    with pytest.raises(ApiError, match="AuthFailure"):
        cloud.query("DisableImage", key=other_key, ImageId=image)
    assert cloud.query("DisableImage", ImageId=image).findtext("return") == "true"
    assert not visible(other, image) and not visible(owner, image)
    answer = cloud.query("DescribeImages", IncludeDisabled="true", **{"Owner.1": "self"})
    assert image in [item.findtext("imageId") for item in answer.findall("imagesSet/item")]
    assert (owner.shown_image(image)["State"], owner.shown_image(image)["Public"]) == ("disabled", False)
    with pytest.raises(ClientError, match="InvalidAMIID.Unavailable"):
        launch(owner, image)
    with pytest.raises(ClientError, match="InvalidAMIID.Unavailable"):
        share(owner, image, Group="all")
    cloud.query("EnableImage", ImageId=image)
    assert owner.shown_image(image)["State"] == "available" and visible(owner, image)
    assert not visible(other, image), "whoever it was shared with does not get it back"
    owner.ec2.terminate_instances(InstanceIds=[launch(owner, image)["Instances"][0]["InstanceId"]])


def protection(cloud, image):
    answer = cloud.query("DescribeImageAttribute", ImageId=image, Attribute="deregistrationProtection")
    listed = cloud.query("DescribeImages", **{"ImageId.1": image}).findtext("imagesSet/item/deregistrationProtection")
    assert answer.findtext("deregistrationProtection/value") == listed
    return listed


def test_protected_image_is_not_deregistered(cloud, owner, image):
    assert protection(cloud, image) == "disabled"
    cloud.query("EnableImageDeregistrationProtection", ImageId=image)
    assert protection(cloud, image) == "enabled-without-cooldown"
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        owner.ec2.deregister_image(ImageId=image)
    cloud.query("DisableImageDeregistrationProtection", ImageId=image)
    assert protection(cloud, image) == "disabled"
    owner.ec2.deregister_image(ImageId=image)


def test_protection_with_cooldown_lasts_a_day_longer(cloud, owner, image):
    cloud.query("EnableImageDeregistrationProtection", ImageId=image, WithCooldown="true")
    for hours in (0, 20):
        clock(cloud, "POST", advance_ms=hours * HOUR_MS)
        cloud.query("DisableImageDeregistrationProtection", ImageId=image)
        assert protection(cloud, image) == "enabled-with-cooldown"
        with pytest.raises(ClientError, match="OperationNotPermitted.*cooldown"):
            owner.ec2.deregister_image(ImageId=image)
    clock(cloud, "POST", advance_ms=4 * HOUR_MS + 1)
    assert protection(cloud, image) == "disabled"
    owner.ec2.deregister_image(ImageId=image)


def test_protection_is_the_owners_business(cloud, other_key, owner, other, image):
    share(owner, image, Group="all")
    cloud.query("EnableImageDeregistrationProtection", ImageId=image)
    answer = cloud.query("DescribeImages", key=other_key, **{"ImageId.1": image})
    assert answer.findtext("imagesSet/item/deregistrationProtection") is None
    with pytest.raises(ApiError, match="AuthFailure"):
        cloud.query("DisableImageDeregistrationProtection", key=other_key, ImageId=image)
    cloud.query("DisableImageDeregistrationProtection", ImageId=image)
