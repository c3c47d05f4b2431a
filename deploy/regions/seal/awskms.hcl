# SPDX-License-Identifier: MPL-2.0
#
# Auto-unseal by AWS KMS, with a key in the region of the nodes. The nodes have a role with kms:Encrypt, kms:Decrypt and
# kms:DescribeKey for it, so no secret is here.

seal "awskms" {
  region     = "eu-central-1"
  kms_key_id = "alias/vault-east-unseal"
}
