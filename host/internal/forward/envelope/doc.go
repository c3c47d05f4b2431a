// SPDX-License-Identifier: MPL-2.0

// Package envelope seals what the host of a performance secondary and the host of
// its primary say to each other. The bytes travel through both clusters' plugins,
// which must neither read them nor make the primary do something twice.
//
// Both hosts hold the pairing key of the relation, which no plugin ever sees. The
// secondary's host opens a session: each side adds 32 random bytes, and HKDF-SHA256
// of the pairing key, with those as salt, gives one AES-256-GCM key for each
// direction. The context string of the derivation names the purpose, the set and
// the secondary, so that nothing of another relation opens here.
//
// A message is a kind (1 byte), the id of the session (16 bytes) and what the kind
// has:
//
//	hello    the secondary's random bytes, HMAC-SHA256
//	welcome  the primary's random bytes, its instance (16 bytes), HMAC-SHA256 over
//	         both sides' bytes and the instance
//	request  a number (8 bytes), ciphertext
//	answer   the number of the request, ciphertext
//	unknown  the number of the request, the instance, HMAC-SHA256: there is no such
//	         session
//
// The number is the nonce, and each is used once: the primary keeps a window of the last numbers and refuses one that
// it has seen or that is too old. An answer opens only for its request. The primary keeps sessions in memory. Sessions
// without a request are kept apart, so that replayed hellos end no session in use. The primary makes its instance at
// its start. After a restart it answers "unknown", authenticated and with another instance. This instance has not
// executed the request, so the request is sent again in a new session. If "unknown" has the instance of the session,
// the request may have been executed, and is not sent again.
//
// A plugin can drop messages, and see their size and time. It can also withhold the answer to a request until the
// primary has restarted, and then deliver the request again. The primary then says that it does not know the session,
// so the request is sent and carried out once more.
package envelope
