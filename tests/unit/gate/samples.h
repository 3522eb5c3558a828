/* Secrets of tests: made up, and each of a form that the rules know. */
#pragma once

#define SAMPLE_BODY "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW"
#define SAMPLE_KEY "-----BEGIN OPENSSH PRIVATE KEY-----\n" SAMPLE_BODY "\n-----END OPENSSH PRIVATE KEY-----\n"
#define SAMPLE_AWS_ID "AKIAQYLPMN5HFIQR7XYA"
#define SAMPLE_AWS_SECRET "wJa1rXUtnFEMIK7MDENGbPxRfiCYzzzzAMPLEKE9"
#define SAMPLE_AWS \
	"[default]\naws_access_key_id = " SAMPLE_AWS_ID "\naws_secret_access_key = " SAMPLE_AWS_SECRET "\n"
