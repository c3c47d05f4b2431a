// SPDX-License-Identifier: MPL-2.0

import { helper } from '@ember/component/helper';
import { LinearScale } from 'vault/utils/scale';

export default helper((_, { domain, range }) => new LinearScale(domain, range));
