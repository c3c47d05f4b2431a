// SPDX-License-Identifier: MPL-2.0

import { helper } from '@ember/component/helper';
import { BandScale } from 'vault/utils/scale';

export default helper((_, { domain, range, padding }) => new BandScale(domain, range, padding));
