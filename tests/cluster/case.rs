//! The case sgwarden began with, end to end as a user runs it: kubectl, the binary, the AWS CLI.
