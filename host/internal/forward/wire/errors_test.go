// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/hashicorp/errwrap"
	"github.com/hashicorp/go-multierror"
	"github.com/hashicorp/vault/sdk/helper/errutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func sendError(t *testing.T, err error) error {
	t.Helper()
	got := answer(t, &Answer{Err: err}).Err
	require.EqualError(t, got, err.Error())
	for _, s := range sentinels {
		require.Equal(t, errors.Is(err, s.err), errors.Is(got, s.err), "%s in %q", s.name, err)
		require.Equal(t, errwrap.Contains(err, s.err.Error()), errwrap.Contains(got, s.err.Error()), "errwrap: %s in %q",
			s.name, err)
	}
	req := &logical.Request{Operation: logical.UpdateOperation}
	wantCode, wantErr := logical.RespondErrorCommon(req, nil, err)
	gotCode, gotErr := logical.RespondErrorCommon(req, nil, got)
	logical.AdjustErrorStatusCode(&wantCode, err)
	logical.AdjustErrorStatusCode(&gotCode, got)
	require.Equal(t, wantCode, gotCode, "HTTP status of %q", err)
	require.EqualError(t, gotErr, wantErr.Error())
	return got
}

func TestSentinelsKeepTheirIdentity(t *testing.T) {
	t.Parallel()
	for _, s := range sentinels {
		require.True(t, sendError(t, s.err) == s.err, "%s is not itself any more", s.name) // identity is what is tested
		for name, err := range map[string]error{
			"wrapped":    fmt.Errorf("login of bob: %w", s.err),
			"twice":      fmt.Errorf("a: %w", fmt.Errorf("b: %w", s.err)),
			"two":        fmt.Errorf("%w and %w", errors.New("other"), s.err),
			"joined":     errors.Join(errors.New("other"), s.err),
			"errwrap":    errwrap.Wrapf("reading: {{err}}", errwrap.Wrapf("role: {{err}}", s.err)),
			"multierror": multierror.Append(nil, errors.New("other"), fmt.Errorf("c: %w", s.err)),
			"by method":  isError{s.err},
			"contract":   replication.Errorf(replication.Denied, "refused: %w", s.err),
			"coded":      &codedError{error: fmt.Errorf("d: %w", s.err), code: 418},
			"deep":       deep(s.err, faultDepth*2),
			"wide":       wide(s.err, faultNodes*2),
		} {
			require.ErrorIs(t, sendError(t, err), s.err, name)
		}
		// This one is for errwrap alone, on both sides.
		require.IsType(t, &logical.KeyNotFoundError{}, sendError(t, &logical.KeyNotFoundError{Err: s.err}))
	}
}

type isError struct{ of error }

func (e isError) Error() string        { return "is by its method" }
func (e isError) Is(target error) bool { return target == e.of }

func deep(err error, n int) error {
	for range n {
		err = fmt.Errorf("in %w", err)
	}
	return err
}

func wide(err error, n int) error {
	list := make([]error, n)
	for i := range list {
		list[i] = fmt.Errorf("number %d", i)
	}
	return errors.Join(append(list, err)...)
}

func TestErrorTypesThatVaultAsksFor(t *testing.T) {
	t.Parallel()
	bad := sendError(t, &logical.StatusBadRequest{Err: "bad"})
	require.IsType(t, &logical.StatusBadRequest{}, bad)
	require.True(t, errwrap.ContainsType(sendError(t, errwrap.Wrapf("x: {{err}}", bad)), new(logical.StatusBadRequest)))

	coded, ok := sendError(t, logical.CodedError(http.StatusTeapot, "tea")).(logical.HTTPCodedError)
	require.True(t, ok)
	require.Equal(t, http.StatusTeapot, coded.Code())
	require.ErrorAs(t, sendError(t, fmt.Errorf("in: %w", logical.CodedError(409, "c"))), &coded)
	require.Equal(t, 409, coded.Code())
	coded, ok = sendError(t, ownCoded{}).(logical.HTTPCodedError)
	require.True(t, ok, "a backend's own coded error")
	require.Equal(t, 507, coded.Code())

	var replicated *logical.ReplicationCodedError
	require.ErrorAs(t, sendError(t, &logical.ReplicationCodedError{Msg: "r", Code: 412}), &replicated)
	require.Equal(t, 412, replicated.Code)
	sendError(t, multierror.Append(errors.New("a"), &logical.ReplicationCodedError{Msg: "r", Code: 412}))

	var multi *multierror.Error
	require.ErrorAs(t, sendError(t, multierror.Append(errors.New("a"), errors.New("b"))), &multi)
	require.Len(t, multi.Errors, 2)
	sendError(t, &multierror.Error{Errors: []error{errors.New("a")},
		ErrorFormat: func([]error) string { return "own form" }})

	require.IsType(t, errutil.UserError{}, sendError(t, errutil.UserError{Err: "u"}))
	require.IsType(t, errutil.InternalError{}, sendError(t, errutil.InternalError{Err: "i"}))
	require.Equal(t, replication.Unreachable,
		replication.KindOf(sendError(t, replication.Errorf(replication.Unreachable, "gone"))))
	wrapped := sendError(t, replication.Errorf(replication.Denied, "no: %w", context.Canceled))
	require.Equal(t, replication.Denied, replication.KindOf(wrapped))
	require.Equal(t, "a text that is not UTF-8: \xff", sendError(t, errors.New("a text that is not UTF-8: \xff")).Error())
}

type ownCoded struct{}

func (ownCoded) Error() string { return "full" }
func (ownCoded) Code() int     { return 507 }

// TestEverySentinelIsKnown reads the sdk's source, so that one that a later
// version adds is not forgotten.
func TestEverySentinelIsKnown(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, s := range sentinels {
		require.False(t, known[s.name])
		known[s.name] = true
	}
	for pkg, path := range map[string]string{
		"logical": "github.com/hashicorp/vault/sdk/logical",
		"consts":  "github.com/hashicorp/vault/sdk/helper/consts",
	} {
		names := declaredErrors(t, path)
		require.NotEmpty(t, names)
		for _, n := range names {
			require.True(t, known[pkg+"."+n], "%s.%s loses its identity on the way", pkg, n)
		}
	}
}

// declaredErrors are the exported variables of a package made by errors.New.
func declaredErrors(t *testing.T, path string) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", path).Output()
	require.NoError(t, err)
	notTest := func(i fs.FileInfo) bool { return !strings.HasSuffix(i.Name(), "_test.go") }
	//nolint:staticcheck // build tags do not matter here
	packages, err := parser.ParseDir(token.NewFileSet(), strings.TrimSpace(string(dir)), notTest, 0)
	require.NoError(t, err)
	var names []string
	for _, p := range packages {
		for _, f := range p.Files {
			for _, d := range f.Decls {
				names = append(names, errorsOf(d)...)
			}
		}
	}
	return names
}

func errorsOf(d ast.Decl) []string {
	g, ok := d.(*ast.GenDecl)
	if !ok || g.Tok != token.VAR {
		return nil
	}
	var names []string
	for _, s := range g.Specs {
		v := s.(*ast.ValueSpec)
		for i := range v.Values {
			call, ok := v.Values[i].(*ast.CallExpr)
			if !ok || !v.Names[i].IsExported() {
				continue
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "New" && fmt.Sprint(f.X) == "errors" {
				names = append(names, v.Names[i].Name)
			}
		}
	}
	return names
}
