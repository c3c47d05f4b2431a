// SPDX-License-Identifier: MPL-2.0

package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

const (
	rowVersion = 1
	// MaxKey is the longest key of a row or payload, in bytes. Storage backends
	// have limits far below.
	MaxKey = 64 << 10
	// MaxOps is the highest number of keys in one row.
	MaxOps = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrCorrupt is wrapped by every error of a decoder.
var ErrCorrupt = errors.New("malformed")

// EncodeRow is the stored form of a row: version, number of keys, the keys, and a CRC-32C of it all. Each key has kind
// and class in one byte, length, name and, for Put, the hash of the value. Sequence and term are in the row's storage
// key.
func EncodeRow(ops []Op) []byte {
	n := 1 + binary.MaxVarintLen32 + crc32.Size
	for i := range ops {
		n += 1 + binary.MaxVarintLen32 + len(ops[i].Key) + HashSize
	}
	b := make([]byte, 0, n)
	b = append(b, rowVersion)
	b = binary.AppendUvarint(b, uint64(len(ops)))
	for i := range ops {
		op := &ops[i]
		b = append(b, byte(op.Kind)|byte(op.Class)<<4)
		b = withLength(b, op.Key)
		if op.Kind == Put {
			h := HashOf(op.Value)
			b = append(b, h[:]...)
		}
	}
	return seal(b)
}

// DecodeRow reads what EncodeRow made.
func DecodeRow(b []byte) ([]Op, error) {
	r, err := open(b, rowVersion, "journal row")
	if err != nil {
		return nil, err
	}
	n := r.count(MaxOps, 2)
	ops := make([]Op, 0, n)
	for range n {
		var op Op
		r.spend(costOp)
		op.Kind, op.Class = r.kindClass()
		op.Key = r.key()
		if op.Kind == Put {
			copy(op.Hash[:], r.bytes(HashSize))
		}
		if r.err != nil {
			break
		}
		ops = append(ops, op)
	}
	return ops, r.end()
}

// withLength appends a text or bytes, after their length.
func withLength[T string | []byte](b []byte, t T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(t))), t...)
}

// seal appends the checksum.
func seal(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// open checks version and checksum, and returns a reader of the content between them.
func open(b []byte, version byte, what string) (*reader, error) {
	if len(b) < 1+crc32.Size {
		return nil, fmt.Errorf("%w %s: %d bytes are too few", ErrCorrupt, what, len(b))
	}
	if b[0] != version {
		return nil, fmt.Errorf("%w %s: version %d is not known to this version of the server", ErrCorrupt, what, b[0])
	}
	body := b[:len(b)-crc32.Size]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(body):]) {
		return nil, fmt.Errorf("%w %s: the checksum is wrong", ErrCorrupt, what)
	}
	return &reader{b: body[1:], what: what, left: costBase + costFactor*len(b)}, nil
}

// The memory that a message may take after decoding, in bytes: enough for any small message, and proportional to the
// size for large ones.
const (
	costBase   = 16 << 20
	costFactor = 8

	costRow = 128
	costOp  = 128 // a key with a value, a part, a range
)

// reader takes values off a buffer; after the first error it only returns zeros.
type reader struct {
	b    []byte
	what string
	left int // memory that it may still take
	err  error
}

// spend counts memory before it is allocated for the message.
func (r *reader) spend(n int) {
	if r.left -= n; r.left < 0 {
		r.fail("it would take many times its size in memory")
	}
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w %s: %s", ErrCorrupt, r.what, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("a number is cut off or too large")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of items that take at least size bytes each. So a hostile number cannot make the caller allocate
// more than was sent.
func (r *reader) count(limit uint64, size int) int {
	n := r.uvarint()
	if n > limit || n > uint64(len(r.b)/size) {
		r.fail("%d items do not fit", n)
		return 0
	}
	return int(n)
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail("%d bytes are missing", n)
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) kindClass() (Kind, keyclass.Class) {
	b := r.bytes(1)
	if r.err != nil {
		return 0, 0
	}
	kind, class := Kind(b[0]&0x0f), keyclass.Class(b[0]>>4)
	if (kind != Put && kind != Delete) || class > keyclass.Own {
		r.fail("%#x is no operation", b[0])
	}
	return kind, class
}

func (r *reader) key() string {
	n := r.uvarint()
	if n == 0 || n > MaxKey {
		r.fail("a key of %d bytes", n)
		return ""
	}
	return string(r.bytes(int(n)))
}

// value copies, because a stored value must not keep a whole payload in memory.
func (r *reader) value() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail("a value of %d bytes is cut off", n)
		return nil
	}
	return append(make([]byte, 0, n), r.bytes(int(n))...)
}

func (r *reader) end() error {
	if r.err == nil && len(r.b) != 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	return r.err
}
