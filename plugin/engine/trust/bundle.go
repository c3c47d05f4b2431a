// SPDX-License-Identifier: MPL-2.0

package trust

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"time"

	"github.com/hashicorp/go-uuid"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/clusteraddr"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

const (
	// BundleVersion is the version of the bundle format that this build makes.
	BundleVersion = 1
	// BundleMax bounds an encoded bundle, in bytes.
	BundleMax = 64 << 10
)

var sentBundle = strictjson.Record{Name: "it", Version: BundleVersion, Max: BundleMax}

// Bundle is what a secondary needs to reach its primary: an activation bundle
// while it travels, and the secondary's own record afterwards. It holds a
// private key.
type Bundle struct {
	Version     int              `json:"version"`
	Mode        replication.Mode `json:"mode"`
	SetID       string           `json:"set_id"`
	SecondaryID string           `json:"secondary_id"`
	CACert      []byte           `json:"ca_cert"`
	ClientCert  []byte           `json:"client_cert"`
	ClientKey   []byte           `json:"client_key"`
	Addresses   []string         `json:"addresses"`
}

// Encode makes the JSON form.
func (b *Bundle) Encode() ([]byte, error) { return json.Marshal(b) } //nolint:gosec // a bundle carries its key

// DecodeBundle reads and checks a bundle of any mode; its certificates are
// consistent and in force at now. It is InvalidInput otherwise.
func DecodeBundle(data []byte, now time.Time) (*Bundle, error) {
	return decodeBundle(data, func(*x509.Certificate) time.Time { return now })
}

// DecodeStoredBundle reads a bundle that this cluster stored. It does not check whether the
// certificate is in force: the connection does. A clock that is wrong when a node starts
// must not keep the node from trying later.
func DecodeStoredBundle(data []byte) (*Bundle, error) {
	return decodeBundle(data, func(c *x509.Certificate) time.Time { return c.NotBefore })
}

func decodeBundle(data []byte, at func(*x509.Certificate) time.Time) (*Bundle, error) {
	var b Bundle
	if err := sentBundle.Decode(data, &b); err != nil {
		if errors.As(err, new(*strictjson.VersionError)) {
			return nil, badBundle("%s: run the same release on both clusters", err)
		}
		return nil, badBundle("it is malformed, or has more than %d bytes", BundleMax)
	}
	if err := b.check(at); err != nil {
		return nil, err
	}
	return &b, nil
}

func badBundle(format string, args ...any) error {
	return replication.Errorf(replication.InvalidInput, "the activation bundle cannot be used: "+format+
		"; make a new one on the primary", args...)
}

func (b *Bundle) check(at func(*x509.Certificate) time.Time) error {
	if _, err := replication.ParseMode(string(b.Mode)); err != nil {
		return badBundle("its replication mode is unknown")
	}
	if _, err := uuid.ParseUUID(b.SetID); err != nil {
		return badBundle("its replication set has no valid id")
	}
	if err := CheckID(b.SecondaryID); err != nil {
		return badBundle("its secondary has no valid id")
	}
	if len(b.Addresses) == 0 || len(b.Addresses) > link.AddressesMax {
		return badBundle("it has %d addresses of the primary", len(b.Addresses))
	}
	for _, a := range b.Addresses {
		if clusteraddr.Check(a) != nil {
			return badBundle("it has an address of the primary that is none")
		}
	}
	ca, err := x509.ParseCertificate(b.CACert)
	if err != nil || !ca.IsCA {
		return badBundle("it has no certificate of an authority")
	}
	cert, _, err := parseKeyPair(b.ClientCert, b.ClientKey)
	if err != nil {
		return badBundle("%s", err)
	}
	if cert.Subject.CommonName != b.SecondaryID {
		return badBundle("its certificate is for another secondary")
	}
	if err := verify(cert, ca, at(cert), x509.ExtKeyUsageClientAuth); err != nil {
		return badBundle("its certificate is not in force, or its authority did not sign it (check both clusters' clocks)")
	}
	return nil
}

// CheckFor says whether the bundle is of a mode and for the secondary named in
// the token around it; an empty id is not compared.
func (b *Bundle) CheckFor(mode replication.Mode, id string) error {
	if b.Mode != mode {
		return replication.Errorf(replication.InvalidInput,
			"the activation token is for %s replication, not for %s replication: use it below sys/replication/%s, or make one "+
				"with sys/replication/%s/primary/secondary-token",
			b.Mode, mode, b.Mode, mode)
	}
	if id != "" && b.SecondaryID != id {
		return replication.Errorf(replication.Denied,
			"the activation token is for the secondary %q, but its bundle is for %q: make a new one on the primary", id,
			b.SecondaryID)
	}
	return nil
}

// DialRequest is how to reach the primary at an address.
func (b *Bundle) DialRequest(address string) replication.DialRequest {
	return replication.DialRequest{
		Address: address, CACert: b.CACert, ServerName: ServerName(b.SetID), Cert: b.ClientCert, Key: b.ClientKey,
	}
}
