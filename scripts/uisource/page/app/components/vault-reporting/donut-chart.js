// SPDX-License-Identifier: MPL-2.0

import Component from '@glimmer/component';

const format = (number) => new Intl.NumberFormat().format(number);

// Shares of a whole as parts of a ring, with a legend.
export default class DonutChart extends Component {
  get sum() {
    return this.args.data.reduce((sum, { value }) => sum + (value || 0), 0);
  }

  get total() {
    return format(this.sum);
  }

  get parts() {
    let before = 0;
    return this.args.data.map(({ value, label }, i) => {
      const share = this.sum ? ((value || 0) / this.sum) * 100 : 0;
      const part = {
        label,
        value: format(value || 0),
        class: `stacked-bar-${i + 1}`,
        dash: `${share} 100`,
        offset: -before,
      };
      before += share;
      return part;
    });
  }

  get description() {
    const parts = this.parts.map(({ value, label }) => `${value} ${label}`);
    return `${this.total} ${this.args.title}: ${parts.join(', ')}.`;
  }
}
