// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Answer is what is compared: plain JSON values, with names in place of what each server
// makes anew.
type Answer struct {
	Status  int
	Headers map[string]any
	Body    any
}

// ignoredHeaders change from moment to moment or follow from the body.
var ignoredHeaders = []string{"Date", "Content-Length"}

// futureTimes are keys of times as numbers that may lie far from now.
var futureTimes = []string{"expiration", "ca_expiration"}

// hashClaims are claims of a JWT that are made from its random values.
var hashClaims = []string{"at_hash", "c_hash"}

// nearNow is how far from now a number still counts as a time in seconds.
const nearNow = 40 * 24 * time.Hour

// form is a kind of random value that can be told by its look.
type form struct {
	like *regexp.Regexp
	name string
}

// forms in the order in which they are tried.
var forms = []form{
	{regexp.MustCompile(`^djE6[A-Za-z0-9+/=]{40,}$`), "<index>"}, // of X-Vault-Index: base64 of v1:...
	{regexp.MustCompile(`\bhv([sbr])\.[A-Za-z0-9_-]{20,}`), "<hv$1 token>"},
	{regexp.MustCompile(`vault:v(\d+):[A-Za-z0-9+/=_-]{8,}`), "<vault:v$1>"},
	{regexp.MustCompile(`hmac-sha256:[0-9a-f]{64}`), "<hmac-sha256>"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "<uuid>"},
	{regexp.MustCompile(`\b[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "<time>"},
	{regexp.MustCompile(`\b([0-9a-f]{2}[:-]){9,}[0-9a-f]{2}\b`), "<serial>"},
	{regexp.MustCompile(`\b((?:auth_)?[a-z][a-z-]*)_[0-9a-f]{8}\b`), "<accessor of $1>"},
	{regexp.MustCompile(`^ssh-rsa AAAA[A-Za-z0-9+/=]+`), "<ssh-rsa key>"},
	{regexp.MustCompile(`AAAA[A-Za-z0-9+/=]{60,}`), "<ssh blob>"},
	{regexp.MustCompile(`/[A-Za-z0-9]{24}("|$)`), "/<24 characters>$1"},
	{regexp.MustCompile(`^[A-Za-z0-9]{24}$`), "<24 characters>"},
}

var jwt = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.(eyJ[A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+`)

// normaliser makes comparable what one target answered.
type normaliser struct{ values *values }

func (n normaliser) answer(s Step, r *response) (*Answer, error) {
	a := &Answer{Status: r.status, Headers: n.headers(r.header)}
	body, err := parse(r)
	if err != nil {
		return nil, err
	}
	if err := places(s, body); err != nil && r.status < http.StatusBadRequest {
		return nil, err
	}
	leased(body)
	a.Body = n.value("", body)
	return a, nil
}

// leased makes the duration of a new lease a full minute again. Vault subtracts the time
// that storing the lease took.
func leased(body any) {
	answer, ok := body.(map[string]any)
	if !ok || answer["lease_id"] == nil || answer["lease_id"] == "" {
		return
	}
	number, ok := answer["lease_duration"].(json.Number)
	if !ok {
		return
	}
	if seconds, err := number.Int64(); err == nil && seconds > 0 {
		answer["lease_duration"] = json.Number(strconv.FormatInt((seconds+59)/60*60, 10))
	}
}

// parse reads JSON and keeps numbers as they are written. A large number that lost its last
// digits on the way must be seen.
func parse(r *response) (any, error) {
	if len(r.body) == 0 {
		return nil, nil
	}
	if !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
		if slices.ContainsFunc(r.body, func(b byte) bool { return b == 0 }) {
			return "<binary>", nil
		}
		return string(r.body), nil
	}
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.UseNumber()
	var body any
	if err := decoder.Decode(&body); err != nil {
		return nil, fmt.Errorf("the answer is no JSON: %w: %s", err, r.body)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("the answer goes on after its JSON: %s", r.body)
	}
	return body, nil
}

// places applies the step's rules for single values. A place that is not there is an error:
// the step would compare less than it says.
func places(s Step, body any) error {
	for _, place := range s.Random {
		if !change(body, place, kind) {
			return fmt.Errorf("the answer has nothing at %q, which the step calls random", place)
		}
	}
	for _, place := range s.Remaining {
		if !change(body, place, coarse) {
			return fmt.Errorf("the answer has nothing at %q, which the step calls remaining", place)
		}
	}
	for _, place := range s.Unordered {
		if !change(body, place, sorted) {
			return fmt.Errorf("the answer has nothing at %q, which the step calls unordered", place)
		}
	}
	return nil
}

func sorted(value any) any {
	if items, ok := value.([]any); ok {
		slices.SortFunc(items, byText)
	}
	return value
}

func byText(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }

func (n normaliser) headers(h http.Header) map[string]any {
	out := map[string]any{}
	for name, values := range h {
		if !slices.Contains(ignoredHeaders, name) {
			out[name] = n.text(strings.Join(values, ", "))
		}
	}
	return out
}

func (n normaliser) value(key string, value any) any {
	switch v := value.(type) {
	case string:
		return n.text(v)
	case json.Number:
		return n.number(key, v)
	case []any:
		return n.list(key, v)
	case map[string]any:
		return n.object(v)
	}
	return value
}

func (n normaliser) number(key string, number json.Number) any {
	seconds, err := number.Int64()
	if err != nil || seconds == 0 {
		return number
	}
	if slices.Contains(futureTimes, key) || time.Since(time.Unix(seconds, 0)).Abs() < nearNow {
		return "<time>"
	}
	return number
}

// list keeps the order of what the servers order. It sorts by name what they order by a
// random value.
func (n normaliser) list(key string, in []any) any {
	out := make([]any, len(in))
	renamed := false
	for i, value := range in {
		out[i] = n.value(key, value)
		before, isText := value.(string)
		renamed = renamed || isText && out[i] != before
	}
	if renamed {
		slices.SortFunc(out, byText)
	}
	return out
}

func (n normaliser) object(in map[string]any) any {
	// Values of keys that get the same name are kept apart and ordered by content, because
	// their order is random.
	byName := map[string][]any{}
	for key, value := range in {
		name := n.text(key)
		byName[name] = append(byName[name], n.value(key, value))
	}
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		values := byName[name]
		slices.SortFunc(values, byText)
		for i, value := range values {
			if i == 0 {
				out[name] = value
			} else {
				out[fmt.Sprintf("%s #%d", name, i+1)] = value
			}
		}
	}
	return out
}

func (n normaliser) text(text string) string {
	text = n.values.named(text)
	text = pemBlock.ReplaceAllStringFunc(text, showPEM)
	text = jwt.ReplaceAllStringFunc(text, n.token)
	for _, f := range forms {
		text = f.like.ReplaceAllString(text, f.name)
	}
	return text
}

// token shows the claims of a JWT, normalised, in place of its text.
func (n normaliser) token(text string) string {
	content, err := base64.RawURLEncoding.DecodeString(jwt.FindStringSubmatch(text)[1])
	if err != nil {
		return "<JWT that cannot be decoded>"
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var claims any
	if err := decoder.Decode(&claims); err != nil {
		return "<JWT that cannot be decoded>"
	}
	for _, name := range hashClaims {
		change(claims, name, kind)
	}
	return "<JWT " + show(n.value("", claims)) + ">"
}
