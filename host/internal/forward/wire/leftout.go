// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"crypto/tls"
	"reflect"

	"github.com/hashicorp/vault/sdk/helper/wrapping"
	"github.com/hashicorp/vault/sdk/logical"
)

// leftOut has the exported fields of the sdk's structs that the struct codec ignores, with
// the reason. "beside" means that a record of its own carries the field.
var leftOut = map[reflect.Type]map[string]string{
	reflect.TypeFor[logical.Request](): {
		"Storage":            "bound to a process; the receiver gives its own view of the mount",
		"ClientToken":        "a token never leaves its cluster",
		"InboundSSCToken":    "a token never leaves its cluster",
		"ClientTokenSource":  "says where the token that is not sent came from",
		"HTTPRequest":        "bound to a connection; the primary's backend is given none",
		"ResponseWriter":     "bound to a connection; paths that stream are not forwarded",
		"Headers":            "beside: without those that carry the token",
		"MFACreds":           "the router blanks it before a backend is called",
		"ControlGroup":       "the router blanks it before a backend is called",
		"RequiresSnapshotID": "a request with it is refused: a snapshot is loaded on one cluster",
		"RecoverSourcePath":  "has a meaning with RequiresSnapshotID alone",
		"ReplicationCluster": "for the receiver to set: it knows the secondary's id from the link",
	},
	reflect.TypeFor[logical.Connection](): {
		"ConnState": "beside: requestRecord",
	},
	reflect.TypeFor[tls.ConnectionState](): {
		"CurveID":                     "no handler asks how the keys were agreed on",
		"NegotiatedProtocolIsMutual":  "always true",
		"SignedCertificateTimestamps": "of a server that a client has connected to",
		"OCSPResponse":                "of a server that a client has connected to",
		"TLSUnique":                   "binds to a connection that ends here",
		"ECHAccepted":                 "no handler asks how the name came",
		"HelloRetryRequest":           "no handler asks how the keys were agreed on",
	},
	reflect.TypeFor[logical.Auth](): {
		"ClientToken": "a token never leaves its cluster; Vault's core sets it itself",
	},
	reflect.TypeFor[wrapping.ResponseWrapInfo](): {
		"Token": "a token never leaves its cluster; the secondary's core wraps",
	},
}

// unexported has the unexported fields of logical.Request. mountRecord carries those that
// have methods. The others are not carried.
var unexported = map[string]string{
	"mountRunningVersion":   "beside: mountRecord",
	"mountRunningSha256":    "beside: mountRecord",
	"mountIsExternalPlugin": "beside: mountRecord",
	"mountClass":            "beside: mountRecord",
	"tokenEntry":            "is the token; the router takes it away before a backend is called",
	"lastRemoteWAL":         "consistency of the sender's own answer",
	"requiredState":         "checked by the sender's core before the backend is called",
	"responseState":         "consistency of the sender's own answer",
}
