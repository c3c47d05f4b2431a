// SPDX-License-Identifier: MPL-2.0

package unstorable

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/physical"
)

// Why is the reason why the storage refuses a key.
type Why string

// The reasons.
const (
	// Value says that the value is above the storage's limit.
	Value Why = "value"
	// Name says that the name, or a part of it, is above the storage's limit.
	Name Why = "name"
	// Form says that the storage cannot have a key of that name at all: it does not allow the bytes, or the name conflicts
	// with another one.
	Form Why = "form"
)

// Refusal says why a storage refuses a key until its settings or the key change.
type Refusal struct {
	Why Why `json:"why"`
	// Size is the size of the value or of the name, in bytes.
	Size int `json:"size,omitempty"`
	// Limit is the limit of the storage, 0 if it does not say.
	Limit int `json:"limit,omitempty"`
	// Setting is the setting to change, empty if there is none.
	Setting string `json:"setting,omitempty"`
}

// String is for operators; it does not name the key.
func (r Refusal) String() string {
	limit := "its storage takes less"
	if r.Limit > 0 {
		limit = fmt.Sprintf("its storage takes %d", r.Limit)
	}
	if r.Setting != "" {
		limit += ", see " + r.Setting
	}
	switch r.Why {
	case Value:
		return fmt.Sprintf("a value of %d bytes, and %s", r.Size, limit)
	case Name:
		return fmt.Sprintf("a name of %d bytes, and %s", r.Size, limit)
	default:
		return "a name that its storage cannot have"
	}
}

const (
	fileSetting     = "the file system's limit of names"
	postgresSetting = "PostgreSQL's limit of index rows and values"
)

var (
	// The texts of raft about one value, and about one entry of its log.
	raftValue = regexp.MustCompile(`(?s)max value size for key .* is (\d+), got \d+$`)
	raftEntry = regexp.MustCompile(`got \d+ bytes, max: (\d+) bytes`)
	raftKey   = regexp.MustCompile(`max key size for integrated storage is (\d+)`)
	consulMax = regexp.MustCompile(`is too large \(\d+ > (\d+) bytes\)`)
	// The text about a whole request, which Vault does not tell from other failures.
	consulBody = regexp.MustCompile(`Request body\(\d+ bytes\) too large, max size: (\d+) bytes`)
)

// Of is the refusal that an error of the write of one key means; nil if the error may pass by itself. An unknown error
// may. Refusals are known by
//
//   - raft, consul, inmem: the texts of the SDK, because it has no error values for them
//   - file: the errors of the operating system
//   - PostgreSQL and other storage with SQLSTATE: the codes for program limits and for data
//   - every storage: Vault's own errors for keys that it does not allow
func Of(err error, e *physical.Entry) *Refusal {
	if err == nil {
		return nil
	}
	r := reason(err)
	if r != nil {
		switch r.Why {
		case Value:
			r.Size = len(e.Value)
		case Name:
			r.Size = len(e.Key)
		case Form: // no size is at fault
		}
	}
	return r
}

// Permanent says whether an error means that the storage refuses something in a transaction for good.
func Permanent(err error) bool { return err != nil && reason(err) != nil }

func reason(err error) *Refusal {
	if state := sqlState(err); state != "" {
		return ofState(state, err)
	}
	text := err.Error()
	switch {
	case strings.Contains(text, physical.ErrKeyTooLarge):
		return &Refusal{Why: Name, Limit: number(raftKey, text)}
	case strings.Contains(text, physical.ErrValueTooLarge):
		return tooLarge(text)
	case consulBody.MatchString(text):
		return &Refusal{Why: Value, Limit: number(consulBody, text), Setting: "Consul's txn_max_req_len"}
	case errors.Is(err, syscall.ENAMETOOLONG):
		return &Refusal{Why: Name, Setting: fileSetting}
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.EILSEQ), errors.Is(err, syscall.ENOTDIR),
		errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.EEXIST):
		return ofFile(err)
	case errors.Is(err, consts.ErrPathContainsParentReferences), errors.Is(err, physical.ErrNonUTF8),
		errors.Is(err, physical.ErrNonPrintable):
		return &Refusal{Why: Form}
	}
	return nil
}

func tooLarge(text string) *Refusal {
	if limit := number(raftValue, text); limit > 0 {
		setting := "max_entry_size"
		if strings.Contains(text, "for key core/mounts ") || strings.Contains(text, "for key core/auth ") ||
			strings.Contains(text, "for key core/local-mounts ") || strings.Contains(text, "for key core/local-auth ") {
			setting = "max_mount_and_namespace_table_entry_size"
		}
		return &Refusal{Why: Value, Limit: limit, Setting: setting}
	}
	if limit := number(raftEntry, text); limit > 0 {
		return &Refusal{Why: Value, Limit: limit, Setting: "max_entry_size"}
	}
	if strings.Contains(text, "is too large") {
		return &Refusal{Why: Value, Limit: number(consulMax, text), Setting: "Consul's kv_max_value_size"}
	}
	return &Refusal{Why: Value}
}

func number(in *regexp.Regexp, text string) int {
	m := in.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
