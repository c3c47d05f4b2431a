// SPDX-License-Identifier: MPL-2.0

import Component from '@glimmer/component';
import { tracked } from '@glimmer/tracking';

// Yields the width that there is.
export default class Fluid extends Component {
  @tracked width = 0;

  watch = (element) => {
    this.observer = new ResizeObserver(([entry]) => (this.width = entry.contentRect.width));
    this.observer.observe(element);
  };

  unwatch = () => this.observer.disconnect();
}
