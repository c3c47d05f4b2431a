// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"maps"
	"net/http"
	"slices"
)

// Body is a request's JSON object.
type Body map[string]any

// NoToken as a step's token sends the request without one.
const NoToken = "none"

// Step is one request. In Path, Body, Token and Headers "${name}" stands for a
// value saved by a former step or given with the target.
type Step struct {
	// Name is for reports and for the table of differences; method and path by
	// default.
	Name   string
	Method string
	Path   string
	// Body is a [Body], a string that is sent as it is, or nil.
	Body any
	// Token is the target's root token by default.
	Token   string
	Headers map[string]string
	// ClientCert sends the request over a connection with [Fixtures.ClientCert].
	ClientCert bool
	// Status is what the reference must answer; 0 is any success. It keeps the
	// list honest: two servers that refuse a misspelt request are equal too.
	Status int
	// Saves are values of the answer to remember: name to place.
	Saves map[string]string
	// Random are places where only type and presence are compared.
	Random []string
	// Remaining are places of a number of seconds that runs down.
	Remaining []string
	// Unordered are places of lists whose order follows from random values.
	Unordered []string
	// Repeat asks again until the value at the place is the wanted one, for what a server
	// does in the background. An answer of 500 or above ends it and is compared.
	Repeat map[string]string
	// Last sends the step after the other steps of all sections. Until then what the
	// sections made is stored.
	Last bool
}

// Section is a list of steps that needs no other section.
type Section struct {
	Name  string
	Steps []Step
}

// part returns the steps that are sent at once, or those that are sent last.
func (s Section) part(last bool) []Step {
	return slices.DeleteFunc(slices.Clone(s.Steps), func(step Step) bool { return step.Last != last })
}

// alone says that only one target at a time gets the section. PostgreSQL refuses concurrent
// changes of roles.
func (s Section) alone() bool { return s.Name == "database" }

func step(method, path string, body any) Step {
	return Step{Name: method + " " + path, Method: method, Path: path, Body: body}
}

func read(path string) Step          { return step(http.MethodGet, path, nil) }
func list(path string) Step          { return step("LIST", path, nil) }
func remove(path string) Step        { return step(http.MethodDelete, path, nil) }
func write(path string, b Body) Step { return step(http.MethodPost, path, b) }
func patch(path string, b Body) Step {
	return step(http.MethodPatch, path, b).header("Content-Type", mergePatch)
}
func raw(m, path, body string) Step     { return step(m, path, body) }
func help(path string) Step             { return read(path + "?help=1") }
func mount(path string, b Body) Step    { return write("sys/mounts/"+path, b) }
func unmount(path string) Step          { return remove("sys/mounts/" + path) }
func login(path string, b Body) Step    { return write(path, b).as(NoToken) }
func policy(name, rules string) Step    { return write("sys/policies/acl/"+name, Body{"policy": rules}) }
func enableAuth(path, kind string) Step { return write("sys/auth/"+path, Body{"type": kind}) }

const mergePatch = "application/merge-patch+json"

// The following return a changed copy.

func (s Step) fails(status int) Step    { s.Status = status; return s }
func (s Step) as(token string) Step     { s.Token = token; return s }
func (s Step) named(name string) Step   { s.Name = name; return s }
func (s Step) withCert() Step           { s.ClientCert = true; return s }
func (s Step) last() Step               { s.Last = true; return s }
func (s Step) random(at ...string) Step { s.Random = append(slices.Clip(s.Random), at...); return s }
func (s Step) remaining(at ...string) Step {
	s.Remaining = append(slices.Clip(s.Remaining), at...)
	return s
}
func (s Step) unordered(at ...string) Step {
	s.Unordered = append(slices.Clip(s.Unordered), at...)
	return s
}
func (s Step) save(name, at string) Step  { s.Saves = with(s.Saves, name, at); return s }
func (s Step) until(at, want string) Step { s.Repeat = with(s.Repeat, at, want); return s }
func (s Step) header(k, v string) Step    { s.Headers = with(s.Headers, k, v); return s }
func (s Step) wrapped(ttl string) Step    { return s.header("X-Vault-Wrap-TTL", ttl) }

func with(m map[string]string, key, value string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}
