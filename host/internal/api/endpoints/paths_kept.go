// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"encoding/json"
	"maps"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/compressutil"
	"github.com/hashicorp/vault/sdk/logical"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// keptMost bounds the values of one answer.
const keptMost = 1000

// keptHandlers list, read and remove what a former primary keeps.
type keptHandlers struct{ Kept }

// paths makes the paths that list, read and remove. root has the patterns whose callers need sudo. A secondary that
// serves no clients has its own paths instead, whose callers need a DR operation token.
func (h keptHandlers) paths(authorized func(replication.Mode, call) call) (added []*framework.Path, root []string) {
	id := map[string]*framework.FieldSchema{
		"id": {Type: framework.TypeString, Description: "Id of the kept values, from the list.", Required: true},
	}
	page := maps.Clone(id)
	page["offset"] = &framework.FieldSchema{Type: framework.TypeInt, Description: "How many values to leave out."}
	page["limit"] = &framework.FieldSchema{Type: framework.TypeInt, Default: keptMost,
		Description: "How many values to return at most, 1000 by default and at most."}
	all := []endpoint{
		{pattern: "kept/list", verb: "list", noun: "kept", handle: h.list,
			synopsis: "List what was kept of the writes of this cluster that a new primary did not have."},
		{pattern: "kept/read", verb: "read", noun: "kept", handle: h.read, fields: page,
			synopsis: "Read values that were kept."},
		{pattern: "kept/remove", verb: "remove", noun: "kept", handle: h.remove, fields: id,
			synopsis: "Remove values that were kept, for ever."},
	}
	for _, e := range all {
		open := e
		open.pattern = "replication/" + e.pattern
		root = append(root, open.pattern)
		added = append(added, open.path())
		for _, f := range families() {
			if f.mode.ServesClients() {
				continue
			}
			own := e
			own.pattern, own.noun = f.prefix+"secondary/"+e.pattern, f.noun+"secondary-kept"
			own.fields = map[string]*framework.FieldSchema{tokenField: operationTokenField}
			maps.Copy(own.fields, e.fields)
			own.handle = authorized(f.mode, e.handle)
			added = append(added, own.path())
		}
	}
	return added, root
}

func (h keptHandlers) list(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response,
	error) {
	files, err := h.List(ctx)
	if err != nil {
		return nil, err
	}
	own, err := h.NotKept(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]map[string]any, len(files))
	for i := range files {
		list[i] = keptData(&files[i])
	}
	notKept := make([]map[string]any, len(own))
	for i := range own {
		notKept[i] = writesData(&own[i])
	}
	return &logical.Response{Data: map[string]any{"kept": list, "not_kept": notKept}}, nil
}

func keptData(f *KeptFile) map[string]any {
	data := writesData(f)
	data["id"], data["kept"] = f.ID, f.Kept
	return data
}

func writesData(f *KeptFile) map[string]any {
	places := make([]map[string]any, len(f.Places))
	for i, p := range f.Places {
		places[i] = map[string]any{"place": p.Place, "values": p.Values}
	}
	return map[string]any{"mode": string(f.Mode), "exact": f.Exact, "values": f.Values, "places": places}
}

func (h keptHandlers) read(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
	error) {
	id, offset, limit := d.Get("id").(string), d.Get("offset").(int), d.Get("limit").(int)
	if offset < 0 || limit < 1 || limit > keptMost {
		return nil, invalid("offset has to be 0 or more, and limit from 1 to %d", keptMost)
	}
	f, err := h.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	values, err := h.Read(ctx, id, offset, limit)
	if err != nil {
		return nil, err
	}
	list := make([]map[string]any, len(values))
	for i, v := range values {
		list[i] = map[string]any{"key": string(v.Key), "place": v.Place, "deleted": v.Deleted, "value": v.Value,
			"content": content(v.Value)}
	}
	data := keptData(f)
	data["entries"] = list
	return &logical.Response{Data: data}, nil
}

func (h keptHandlers) remove(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
	error) {
	return nil, h.Remove(ctx, d.Get("id").(string))
}

// content is what a person can read of a value: its JSON, or what is JSON or text in the
// fields of a message.
func content(value []byte) any {
	if plain, notCompressed, err := compressutil.Decompress(value); err == nil && !notCompressed {
		value = plain
	}
	var object any
	if json.Unmarshal(value, &object) == nil {
		return object
	}
	var parts []any
	for rest := value; len(rest) > 0; {
		_, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return nil
		}
		m := protowire.ConsumeFieldValue(1, typ, rest[n:])
		if m < 0 {
			return nil
		}
		if typ == protowire.BytesType {
			field, _ := protowire.ConsumeBytes(rest[n:])
			if json.Unmarshal(field, &object) == nil {
				parts = append(parts, object)
				object = nil
			} else if legible(field) {
				parts = append(parts, string(field))
			}
		}
		rest = rest[n+m:]
	}
	if parts == nil {
		return nil
	}
	return parts
}

func legible(text []byte) bool {
	if len(text) == 0 || !utf8.Valid(text) {
		return false
	}
	for _, r := range string(text) {
		if !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return false
		}
	}
	return true
}
