// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"regexp"
	"time"
)

var pemBlock = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]+-----[^-]+-----END [A-Z0-9 ]+-----`)

// showPEM shows a block without what is made anew. A certificate for another name or with
// another lifetime is a difference.
func showPEM(text string) string {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return "<PEM that cannot be decoded>"
	}
	says := ""
	switch block.Type {
	case "CERTIFICATE":
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			says = showCertificate(c)
		}
	case "CERTIFICATE REQUEST":
		if r, err := x509.ParseCertificateRequest(block.Bytes); err == nil {
			says = fmt.Sprintf(" of %s for %v %v, %s", r.Subject, r.DNSNames, r.IPAddresses, r.SignatureAlgorithm)
		}
	case "X509 CRL":
		if l, err := x509.ParseRevocationList(block.Bytes); err == nil {
			says = fmt.Sprintf(" %s by %s, %d revoked, %s", l.Number, l.Issuer, len(l.RevokedCertificateEntries),
				minutes(l.NextUpdate.Sub(l.ThisUpdate)))
		}
	}
	return "<PEM " + block.Type + says + ">"
}

func showCertificate(c *x509.Certificate) string {
	return fmt.Sprintf(" of %s by %s for %v %v, %s, key %s, usage %b %v, CA %v, %s, CRL %v, issuer %v",
		c.Subject, c.Issuer, c.DNSNames, c.IPAddresses, c.SignatureAlgorithm, c.PublicKeyAlgorithm,
		c.KeyUsage, c.ExtKeyUsage, c.IsCA, minutes(c.NotAfter.Sub(c.NotBefore)), c.CRLDistributionPoints,
		c.IssuingCertificateURL)
}

// minutes is a lifetime, as coarse as the remaining times.
func minutes(d time.Duration) string {
	return fmt.Sprintf("up to %s", (d + remainingStep*time.Second - 1).Truncate(remainingStep*time.Second))
}
