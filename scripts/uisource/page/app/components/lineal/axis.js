// SPDX-License-Identifier: MPL-2.0

import Component from '@glimmer/component';

export default class Axis extends Component {
  get left() {
    return this.args.orientation === 'left';
  }

  // how far the line of a tick reaches into the chart
  get reach() {
    return -Number(this.args.tickSizeInner ?? 0);
  }

  get padding() {
    return this.left ? -this.args.tickPadding : this.args.tickPadding;
  }

  get ticks() {
    const { scale, tickCount, tickFormat = String } = this.args;
    return scale.ticks(Number(tickCount)).map((value) => {
      const at = scale.compute(value) + (scale.bandwidth ?? 0) / 2;
      return { label: tickFormat(value), transform: this.left ? `translate(0,${at})` : `translate(${at},0)` };
    });
  }
}
