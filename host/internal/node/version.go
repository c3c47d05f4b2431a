// SPDX-License-Identifier: MPL-2.0

package node

// Version is that of this product and of the plugins that come with it.
const Version = "0.1.0"
