// SPDX-License-Identifier: MPL-2.0

package envelope

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/vault-replication/vault-replication/host/internal/sealing"
)

// Kinds of messages.
const (
	kindHello byte = iota + 1
	kindWelcome
	kindRequest
	kindAnswer
	kindUnknown
)

// Sizes in bytes.
const (
	KeySize    = 32
	randomSize = 32
	idSize     = 16
	numberSize = 8
	macSize    = sha256.Size
	headSize   = 1 + idSize

	welcomeSize = headSize + randomSize + idSize + macSize
)

// Overhead is how many bytes longer a sealed message is.
const Overhead = headSize + numberSize + 16

const purpose = "vault-replication performance forwarding v2"

// Binding names the relation that a key is for.
type Binding struct{ SetID, SecondaryID string }

// info is the context string of a derivation; the lengths keep two names apart.
func (b Binding) info(use string) string {
	return fmt.Sprintf("%s\x00%s\x00%d:%s\x00%d:%s", purpose, use, len(b.SetID), b.SetID, len(b.SecondaryID),
		b.SecondaryID)
}

// Errors that a peer's message can cause. None of them tells more, on purpose.
var (
	ErrMalformed = errors.New("the message is malformed")
	ErrForged    = errors.New("the message was not sealed by the other host of this relation, or was changed on its way")
	ErrReplayed  = errors.New("the message was received before, or is too old")
)

// session has the keys of both directions.
type session struct {
	id       [idSize]byte
	instance [idSize]byte // of the server that made it
	toServer cipher.AEAD
	toClient cipher.AEAD

	mu     sync.Mutex
	next   uint64 // of the client
	window window // of the server
}

func newSession(pairing []byte, b Binding, id, instance [idSize]byte, client, server []byte) (*session, error) {
	s := &session{id: id, instance: instance}
	salt := append(append([]byte(nil), client...), server...)
	var err error
	if s.toServer, err = sealing.New(pairing, salt, b.info("to primary")); err != nil {
		return nil, err
	}
	s.toClient, err = sealing.New(pairing, salt, b.info("to secondary"))
	return s, err
}

// number gives out the number of a request.
func (s *session) number() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.next
}

// accept says whether a number is seen for the first time.
func (s *session) accept(n uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.window.accept(n)
}

func (s *session) seal(kind byte, aead cipher.AEAD, n uint64, plain []byte) []byte {
	out := make([]byte, 0, len(plain)+Overhead)
	out = append(append(out, kind), s.id[:]...)
	out = binary.BigEndian.AppendUint64(out, n)
	return aead.Seal(out, nonce(n), plain, out)
}

func (s *session) open(kind byte, aead cipher.AEAD, m *message) ([]byte, error) {
	if m.kind != kind {
		return nil, ErrMalformed
	}
	plain, err := aead.Open(nil, nonce(m.number), m.rest, m.head)
	if err != nil {
		return nil, ErrForged
	}
	return plain, nil
}

func nonce(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4, 12), n) }

// message is a request, an answer or an "unknown", taken apart.
type message struct {
	kind   byte
	id     [idSize]byte
	number uint64
	head   []byte // all before rest
	rest   []byte
}

func parse(b []byte) (*message, error) {
	if len(b) < headSize+numberSize {
		return nil, ErrMalformed
	}
	m := &message{kind: b[0], head: b[:headSize+numberSize], rest: b[headSize+numberSize:]}
	copy(m.id[:], b[1:])
	m.number = binary.BigEndian.Uint64(b[headSize:])
	return m, nil
}

// mac authenticates what comes before there is a session.
func mac(pairing []byte, b Binding, parts ...[]byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, pairing, nil, b.info("handshake"), KeySize)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		h.Write(p)
	}
	return h.Sum(nil), nil
}

func checkMAC(pairing []byte, b Binding, got []byte, parts ...[]byte) error {
	want, err := mac(pairing, b, parts...)
	if err != nil {
		return err
	}
	if !hmac.Equal(want, got) {
		return ErrForged
	}
	return nil
}
