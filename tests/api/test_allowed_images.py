"""Allowed images settings: which images of others an account sees and launches."""

import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import ApiError, World
from test_sharing import account, launch, share, visible


@pytest.fixture
def owner(iam_server):
    return World(iam_server.client("ec2"))


@pytest.fixture
def user(iam_server, second_key):
    return World(iam_server.client("ec2", key=second_key))


@pytest.fixture
def settings(iam_server, second_key):
    """settings(state) and settings(state, criteria...) of the user's account, disabled and without criteria in the end."""
    def change(state, *criteria):
        fields = {f"ImageCriterion.{at}.{name}": value for at, one in enumerate(criteria, 1) for name, value in one.items()}
        answer = iam_server.query("ReplaceImageCriteriaInAllowedImagesSettings", key=second_key, **fields)
        assert answer.findtext("return") == "true"
        if state == "disabled":
            answer = iam_server.query("DisableAllowedImagesSettings", key=second_key)
        else:
            answer = iam_server.query("EnableAllowedImagesSettings", key=second_key, AllowedImagesSettingsState=state)
        assert answer.findtext("allowedImagesSettingsState") == state

    yield change
    change("disabled")


@pytest.fixture
def image(owner, user):
    made = owner.image(f"golden-{uuid.uuid4().hex}")
    share(owner, made, UserId=account(user))
    yield made
    owner.ec2.deregister_image(ImageId=made)


def allowed(server, key, image):
    answer = server.query("DescribeImages", key=key, **{"ImageId.1": image})
    return answer.findtext("imagesSet/item/imageAllowed")


def test_enabled_settings_hide_and_stop_what_they_do_not_allow(owner, user, image, settings):
    own = user.image(f"own {uuid.uuid4().hex}")
    settings("enabled", {"ImageProvider.1": "amazon", "ImageProvider.2": "111122223333"})
    assert not visible(user, image) and visible(user, own)
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound.*Allowed AMIs"):
        launch(user, image)
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        user.ec2.copy_image(SourceRegion="us-east-1", SourceImageId=image, Name="not allowed")
    assert visible(owner, image), "settings are an account's own"
    settings("enabled", {"ImageProvider.1": "amazon"}, {"ImageProvider.1": account(owner), "ImageName.1": "golden-*"})
    assert visible(user, image)
    instance = launch(user, image)["Instances"][0]["InstanceId"]
    settings("enabled", {"ImageProvider.1": "none"})
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        launch(user, image)
    user.wait_state(instance, "running")
    user.ec2.terminate_instances(InstanceIds=[instance])
    user.ec2.deregister_image(ImageId=own)


def test_audit_mode_only_tells(iam_server, second_key, user, owner, image, settings):
    assert allowed(iam_server, second_key, image) is None
    settings("audit-mode", {"ImageProvider.1": "amazon"})
    assert allowed(iam_server, second_key, image) == "false"
    instance = launch(user, image)["Instances"][0]["InstanceId"]
    user.ec2.terminate_instances(InstanceIds=[instance])
    settings("audit-mode", {"ImageProvider.1": account(owner)})
    assert allowed(iam_server, second_key, image) == "true"
    settings("disabled", {"ImageProvider.1": "none"})
    assert allowed(iam_server, second_key, image) is None


def test_settings_are_shown_as_they_were_set(raw_call):
    shown = raw_call("GetAllowedImagesSettings")
    assert (shown.findtext("state"), shown.findtext("managedBy"), list(shown.find("imageCriterionSet"))) == ("disabled", "account", [])
    criterion = {
        "ImageProvider.1": "aws-marketplace",
        "MarketplaceProductCode.1": "abc123",
        "ImageName.1": "al2023-*",
        "DeprecationTimeCondition.MaximumDaysSinceDeprecated": "0",
        "CreationDateCondition.MaximumDaysSinceCreated": "300",
    }
    raw_call("ReplaceImageCriteriaInAllowedImagesSettings", **{f"ImageCriterion.1.{name}": value for name, value in criterion.items()})
    raw_call("EnableAllowedImagesSettings", AllowedImagesSettingsState="audit-mode")
    shown = raw_call("GetAllowedImagesSettings")
    item = shown.find("imageCriterionSet/item")
    assert shown.findtext("state") == "audit-mode"
    assert [value.text for value in item.iter() if value.text and value.text.strip()] == list(criterion.values())


@pytest.mark.parametrize(
    "criterion",
    [
        {"ImageProvider.1": "ubuntu"},
        {"ImageProvider.1": "none", "ImageProvider.2": "amazon"},
        {"ImageName.1": "a?"},
        {"ImageName.1": "a$b"},
        {"MarketplaceProductCode.1": "x" * 26},
        {"DeprecationTimeCondition.MaximumDaysSinceDeprecated": "-1"},
    ],
)
def test_criteria_that_are_refused(raw_call, criterion):
    with pytest.raises(ApiError, match="InvalidParameter"):
        fields = {f"ImageCriterion.1.{name}": value for name, value in criterion.items()}
        raw_call("ReplaceImageCriteriaInAllowedImagesSettings", **fields)


def test_ten_criteria_are_the_most(raw_call):
    fields = {f"ImageCriterion.{at}.ImageProvider.1": "amazon" for at in range(1, 12)}
    with pytest.raises(ApiError, match="InvalidParameterValue"):
        raw_call("ReplaceImageCriteriaInAllowedImagesSettings", **fields)
