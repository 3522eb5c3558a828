/* Public keys in the forms that EC2 imports, with their fingerprints. */
#pragma once

#define sample_rsa_openssh \
	"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDwGOSxbs4AW60o+7W+OqnZdsxpU5m3VsaUxwoveRCWl/DZUhxcQl" \
	"UWM5C4LKJ/jE7iDjIqDkpJ7nRk7XX0LspwPbNj/DfyYfU4UtXG8SkRIzJoKgzTOzPqZicnyj8ryVEybJLtDRt73cZm" \
	"yKEcXXh+eQJCMxfO+XMsnbOXy+FxbbUyQZ180EHUuLkOnYxr1WGChmTCEK2g4KBWshUYQNHxcfbZ3eoDztYGMZlogG" \
	"6ZjiB0S9QqOgTG9+21nfOB1u77e56rJw3byuVlvZVqVYDN12BvjfC/AreX6DebADihx35/t5zYeHkODXIyqlzpf906" \
	"RBMFi7hwh+9Y5da0hKR9"

#define sample_rsa_rfc4716 \
	"---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"2048-bit RSA, converted by me@host from OpenSSH\"" \
	"\nAAAAB3NzaC1yc2EAAAADAQABAAABAQDwGOSxbs4AW60o+7W+OqnZdsxpU5m3VsaUxwoveR\nCWl/DZUhxcQlUWM5C4" \
	"LKJ/jE7iDjIqDkpJ7nRk7XX0LspwPbNj/DfyYfU4UtXG8SkRIzJo\nKgzTOzPqZicnyj8ryVEybJLtDRt73cZmyKEcX" \
	"Xh+eQJCMxfO+XMsnbOXy+FxbbUyQZ180E\nHUuLkOnYxr1WGChmTCEK2g4KBWshUYQNHxcfbZ3eoDztYGMZlogG6Zji" \
	"B0S9QqOgTG9+21\nnfOB1u77e56rJw3byuVlvZVqVYDN12BvjfC/AreX6DebADihx35/t5zYeHkODXIyqlzpf9\n06RB" \
	"MFi7hwh+9Y5da0hKR9\n---- END SSH2 PUBLIC KEY ----\n"

#define sample_rsa_der \
	"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA8BjksW7OAFutKPu1vjqp2XbMaVOZt1bGlMcKL3kQlpfw2V" \
	"IcXEJVFjOQuCyif4xO4g4yKg5KSe50ZO119C7KcD2zY/w38mH1OFLVxvEpESMyaCoM0zsz6mYnJ8o/K8lRMmyS7Q0b" \
	"e93GZsihHF14fnkCQjMXzvlzLJ2zl8vhcW21MkGdfNBB1Li5Dp2Ma9VhgoZkwhCtoOCgVrIVGEDR8XH22d3qA87WBj" \
	"GZaIBumY4gdEvUKjoExvfttZ3zgdbu+3ueqycN28rlZb2ValWAzddgb43wvwK3l+g3mwA4ocd+f7ec2Hh5Dg1yMqpc" \
	"6X/dOkQTBYu4cIfvWOXWtISkfQIDAQAB"

#define sample_rsa_md5 "91:60:18:52:06:7a:1b:ea:c3:2e:9e:ec:d7:35:9f:11"

#define sample_ed25519_openssh \
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDHVdxiDzzze+pBvSAPPHGL9u5ZENca0uR8PiSzsNXKV"

#define sample_ed25519_rfc4716 \
	"---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"two \\\nlines of 256-bit ED25519, converted by me" \
	"@host from OpenSSH\"\nAAAAC3NzaC1lZDI1NTE5AAAAIDHVdxiDzzze+pBvSAPPHGL9u5ZENca0uR8PiSzsNXKV\n--" \
	"-- END SSH2 PUBLIC KEY ----\n"

#define sample_ed25519_der "MCowBQYDK2VwAyEAMdV3GIPPPN76kG9IA88cYv27lkQ1xrS5Hw+JLOw1cpU="

#define sample_ed25519_sha256 "+5PZ0Mwl0JyUcejtw8xeGqqL1LF55NRfBuQ+wJg4lhI="

#define sample_ecdsa_openssh \
	"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBDNNtTdh5d7cdPU+6t" \
	"txZPvF6iLyBgC/Whblru3SMrkOR8RCYS5EIREBpg3T/wWpiwHc4mh07aXAiMxffXcUkZU="

#define sample_rsa512_openssh \
	"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQCc6Lw+kzPca+Cuopx7IsLcLu48UskUR8snFqydK+gCv0KBKjwn/M" \
	"3Za2E768OaihGUNqpmcHca4jwSAYlRIEYl"
