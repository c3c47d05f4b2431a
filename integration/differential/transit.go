// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"fmt"
	"net/http"
)

const base64Text = "dGhlIHF1aWNrIGJyb3duIGZveA=="

func transit() []Step {
	steps := []Step{
		mount("transit", Body{"type": "transit"}),
		list("transit/keys").fails(404).named("list no keys"),
		write("transit/keys/app", nil),
		read("transit/keys/app"),
		write("transit/encrypt/app", Body{"plaintext": base64Text}).save("c1", "data.ciphertext"),
		write("transit/decrypt/app", Body{"ciphertext": "${c1}"}),
		write("transit/keys/app/rotate", nil),
		read("transit/keys/app").named("read rotated"),
		write("transit/encrypt/app", Body{"plaintext": base64Text}).save("c2", "data.ciphertext").named(
			"encrypt with version 2"),
		write("transit/encrypt/app", Body{"plaintext": base64Text, "key_version": 1}).named("encrypt with version 1"),
		write("transit/encrypt/app", Body{"plaintext": base64Text, "key_version": 7}).named("encrypt with no version").fails(
			400),
		write("transit/decrypt/app", Body{"ciphertext": "${c2}"}).named("decrypt version 2"),
		write("transit/rewrap/app", Body{"ciphertext": "${c1}"}).save("c3", "data.ciphertext"),
		write("transit/decrypt/app", Body{"ciphertext": "${c3}"}).named("decrypt rewrapped"),
		write("transit/encrypt/app",
			Body{"batch_input": []any{Body{"plaintext": base64Text, "reference": "r1"}, Body{"plaintext": "not base64!"},
				Body{"plaintext": ""}}}).named("encrypt a batch").fails(400),
		write("transit/encrypt/app", Body{"batch_input": []any{Body{"plaintext": "!"}}}).named("encrypt a bad batch").fails(
			400),
		write("transit/decrypt/app",
			Body{"batch_input": []any{Body{"ciphertext": "${c1}"}, Body{"ciphertext": "vault:v1:AAAA"},
				Body{"ciphertext": "${c2}"}}}).named("decrypt a batch").fails(400),
		write("transit/decrypt/app", Body{"ciphertext": "vault:v1:xxxx"}).named("decrypt rubbish").fails(400),
		write("transit/decrypt/app", Body{"ciphertext": "nothing"}).named("decrypt no ciphertext").fails(400),
		write("transit/decrypt/nokey", Body{"ciphertext": "${c1}"}).fails(400),
		write("transit/encrypt/app", Body{}).named("encrypt nothing").fails(400),
		write("transit/keys/app/config", Body{"min_decryption_version": 2, "deletion_allowed": false}),
		write("transit/decrypt/app", Body{"ciphertext": "${c1}"}).named("decrypt too old").fails(400),
		write("transit/keys/app/config", Body{"min_decryption_version": 9}).named("no such version").fails(400),
		write("transit/keys/app/config", Body{"min_encryption_version": 1}).named("encryption below decryption").fails(400),
		remove("transit/keys/app").fails(400).named("delete what must not be deleted"),
		write("transit/keys/app/config", Body{"deletion_allowed": true, "exportable": true, "allow_plaintext_backup": true,
			"auto_rotate_period": "24h"}).named("allow all"),
		read("transit/keys/app").named("read configured"),
		write("transit/keys/app/config", Body{"auto_rotate_period": "1m"}).named("too short a period").fails(400),
		read("transit/export/encryption-key/app").random("data.keys.*"),
		read("transit/export/encryption-key/app/2").random("data.keys.*"),
		read("transit/export/encryption-key/app/99").fails(400),
		read("transit/export/what/app").fails(400),
		read("transit/backup/app").random("data.backup").save("backup", "data.backup"),
		write("transit/restore/copy", Body{"backup": "${backup}"}),
		write("transit/decrypt/copy", Body{"ciphertext": "${c2}"}).named("decrypt with the copy"),
		write("transit/restore/copy", Body{"backup": "${backup}"}).named("restore over it").fails(500),
		write("transit/restore/copy", Body{"backup": "${backup}", "force": true}).named("restore by force"),
		write("transit/keys/app/trim", Body{"min_available_version": 2}).named("trim").fails(400),
		write("transit/keys/app/config", Body{"min_encryption_version": 2}).named("raise encryption"),
		write("transit/keys/app/trim", Body{"min_available_version": 2}).named("trim after it"),
		read("transit/keys/app").named("read trimmed"),
		list("transit/keys"),
		write("transit/keys/bad", Body{"type": "nonsense"}).fails(400),
		read("transit/keys/bad").fails(404),
		write("transit/keys/derived", Body{"derived": true, "convergent_encryption": true}),
		write("transit/encrypt/derived", Body{"plaintext": base64Text, "context": "YWJj"}).save("d1", "data.ciphertext"),
		write("transit/encrypt/derived", Body{"plaintext": base64Text, "context": "YWJj"}).named("converges"),
		write("transit/encrypt/derived", Body{"plaintext": base64Text}).named("without context").fails(400),
		write("transit/decrypt/derived", Body{"ciphertext": "${d1}", "context": "YWJj"}),
		write("transit/encrypt/upsert", Body{"plaintext": base64Text}).save("u1", "data.ciphertext"),
		write("transit/decrypt/upsert", Body{"ciphertext": "${u1}"}),
		read("transit/keys/upsert"),
		write("transit/datakey/plaintext/app", Body{}).random("data.plaintext").save("dk", "data.ciphertext"),
		write("transit/datakey/wrapped/app", Body{"bits": 512}),
		write("transit/datakey/wrapped/app", Body{"bits": 3}).named("odd bits").fails(400),
		write("transit/datakey/what/app", nil).fails(400),
		write("transit/decrypt/app", Body{"ciphertext": "${dk}"}).named("decrypt the data key").random("data.plaintext"),
		write("transit/random/16", nil).random("data.random_bytes"),
		write("transit/random/8", Body{"format": "hex"}).random("data.random_bytes").named("random hex"),
		write("transit/random/x", nil).fails(400),
		write("transit/random/0", nil).fails(400),
		write("transit/hash/sha2-512", Body{"input": base64Text}),
		write("transit/hash", Body{"input": base64Text, "format": "base64"}),
		write("transit/hash/md5", Body{"input": base64Text}).fails(400),
		write("transit/keys/mac", Body{"type": "hmac", "key_size": 32}),
		write("transit/hmac/mac", Body{"input": base64Text}).save("mac", "data.hmac"),
		write("transit/verify/mac", Body{"input": base64Text, "hmac": "${mac}"}),
		write("transit/verify/mac", Body{"input": "YWJj", "hmac": "${mac}"}).named("verify another text"),
		write("transit/verify/mac", Body{"input": base64Text, "hmac": "vault:v1:x"}).named("verify rubbish").fails(400),
		write("transit/verify/mac", Body{"input": base64Text}).named("verify nothing").fails(400),
		read("transit/cache-config"),
		write("transit/cache-config", Body{"size": 5}).named("cache too small").fails(400),
		write("transit/cache-config", Body{"size": 50}),
		read("transit/cache-config").named("read the cache's size"),
		read("transit/config/keys"),
		write("transit/config/keys", Body{"disable_upsert": true}),
		write("transit/encrypt/upsert2", Body{"plaintext": base64Text}).named("no upsert").fails(400),
		read("transit/wrapping_key").random("data.public_key"),
		write("transit/keys/imported/import", Body{"ciphertext": "AAAA"}).fails(500),
		remove("transit/keys/app"),
		read("transit/keys/app").named("read deleted").fails(404),
		write("transit/encrypt/app", Body{"plaintext": base64Text}).named("encrypt with deleted").fails(400),
		help("transit"),
		help("transit/keys/x"),
		help("transit/encrypt/x"),
	}
	for _, kind := range []string{"ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-2048"} {
		key := "transit/keys/sign-" + kind
		steps = append(steps,
			write(key, Body{"type": kind}).random("data.keys.1.public_key"), read(key).random("data.keys.1.public_key"),
			write("transit/sign/sign-"+kind, Body{"input": base64Text}).save("signature", "data.signature"),
			write("transit/verify/sign-"+kind, Body{"input": base64Text, "signature": "${signature}"}),
			write("transit/verify/sign-"+kind, Body{"input": "YWJj", "signature": "${signature}"}).named(
				"verify another text of "+kind),
			write(key+"/rotate", nil).random("data.keys.*.public_key"),
			write("transit/verify/sign-"+kind, Body{"input": base64Text, "signature": "${signature}"}).named(
				"verify the former version of "+kind),
			write("transit/sign/sign-"+kind, Body{"batch_input": []any{Body{"input": base64Text}, Body{"input": "!"}}}).named(
				"sign a batch of "+kind),
		)
	}
	for _, kind := range []string{"aes128-gcm96", "chacha20-poly1305", "rsa-3072"} {
		steps = append(steps,
			write("transit/keys/"+kind, Body{"type": kind}),
			write("transit/encrypt/"+kind, Body{"plaintext": base64Text}).save("c", "data.ciphertext"),
			write("transit/decrypt/"+kind, Body{"ciphertext": "${c}"}),
			write("transit/sign/"+kind, Body{"input": base64Text}).fails(signs(kind)),
		)
	}
	// Rotations in a row: each must be seen by the next request.
	for version := 2; version <= 6; version++ {
		steps = append(steps,
			write("transit/keys/upsert/rotate", nil).named(fmt.Sprint("rotate to ", version)),
			read("transit/keys/upsert").named(fmt.Sprint("read version ", version)),
			write("transit/encrypt/upsert", Body{"plaintext": base64Text}).named(fmt.Sprint("encrypt with ", version)),
		)
	}
	return append(steps, unmount("transit").last(), read("transit/keys/upsert").named("read unmounted").fails(404).last())
}

// signs is the status of a request to sign with a kind of key.
func signs(kind string) int {
	if kind == "rsa-3072" {
		return http.StatusOK
	}
	return http.StatusBadRequest
}
