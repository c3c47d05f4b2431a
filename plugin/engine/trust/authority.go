// SPDX-License-Identifier: MPL-2.0

package trust

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// Authority is the primary's certificate authority, with the settings of its enable.
type Authority struct {
	record authorityRecord
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
}

// authorityRecord is how it is stored.
type authorityRecord struct {
	Version            int              `json:"version"`
	Mode               replication.Mode `json:"mode"`
	SetID              string           `json:"set_id"`
	PrimaryClusterAddr string           `json:"primary_cluster_addr,omitempty"`
	CACert             []byte           `json:"ca_cert"`
	CAKey              []byte           `json:"ca_key"`
	ServerCert         []byte           `json:"server_cert"`
	ServerKey          []byte           `json:"server_key"`
}

var storedAuthority = strictjson.Record{Name: "the record of the replication authority", Version: 1, Open: true}

// NewAuthority makes the authority of a set. primaryClusterAddr is the address
// to hand to secondaries, empty for the node's own.
func NewAuthority(mode replication.Mode, setID, primaryClusterAddr string, now time.Time) (*Authority, error) {
	caTemplate := template("replication authority "+setID, setID, now)
	caTemplate.IsCA = true
	caTemplate.BasicConstraintsValid = true
	caTemplate.MaxPathLenZero = true
	caTemplate.KeyUsage |= x509.KeyUsageCertSign
	ca, err := issue(caTemplate, nil, nil)
	if err != nil {
		return nil, err
	}
	cert, key, err := parseKeyPair(ca.cert, ca.key)
	if err != nil {
		return nil, err
	}
	serverTemplate := template(ServerName(setID), setID, now)
	serverTemplate.DNSNames = []string{ServerName(setID)}
	serverTemplate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server, err := issue(serverTemplate, cert, key)
	if err != nil {
		return nil, err
	}
	return &Authority{
		record: authorityRecord{
			Version: storedAuthority.Version, Mode: mode, SetID: setID, PrimaryClusterAddr: primaryClusterAddr,
			CACert: ca.cert, CAKey: ca.key, ServerCert: server.cert, ServerKey: server.key,
		},
		ca: cert, caKey: key,
	}, nil
}

// Encode makes the record to store. It holds the authority's key.
func (a *Authority) Encode() ([]byte, error) { return json.Marshal(a.record) }

// DecodeAuthority reads a record.
func DecodeAuthority(data []byte) (*Authority, error) {
	var r authorityRecord
	if err := storedAuthority.Decode(data, &r); err != nil {
		return nil, err
	}
	ca, key, err := parseKeyPair(r.CACert, r.CAKey)
	if err != nil {
		return nil, fmt.Errorf("reading the replication authority: %w", err)
	}
	if _, _, err := parseKeyPair(r.ServerCert, r.ServerKey); err != nil {
		return nil, fmt.Errorf("reading the primary's certificate: %w", err)
	}
	return &Authority{record: r, ca: ca, caKey: key}, nil
}

// Mode is the mode of the set.
func (a *Authority) Mode() replication.Mode { return a.record.Mode }

// SetID is the id of the set.
func (a *Authority) SetID() string { return a.record.SetID }

// PrimaryClusterAddr is the address that was given at enable.
func (a *Authority) PrimaryClusterAddr() string { return a.record.PrimaryClusterAddr }

// ListenRequest is the primary's TLS material.
func (a *Authority) ListenRequest() replication.ListenRequest {
	return replication.ListenRequest{CACert: a.record.CACert, Cert: a.record.ServerCert, Key: a.record.ServerKey}
}

// IssueBundle makes a certificate for a secondary and the bundle around it. The
// serial is to be registered before the bundle is given away.
func (a *Authority) IssueBundle(id string, addresses []string, now time.Time) (b *Bundle, serial string, err error) {
	if err := CheckID(id); err != nil {
		return nil, "", err
	}
	t := template(id, a.record.SetID, now)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	client, err := issue(t, a.ca, a.caKey)
	if err != nil {
		return nil, "", err
	}
	b = &Bundle{
		Version: BundleVersion, Mode: a.record.Mode, SetID: a.record.SetID, SecondaryID: id,
		CACert: a.record.CACert, ClientCert: client.cert, ClientKey: client.key, Addresses: addresses,
	}
	return b, client.serial, nil
}
