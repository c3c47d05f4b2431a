// SPDX-License-Identifier: MPL-2.0

import Component from '@glimmer/component';

export default class Bars extends Component {
  get bars() {
    const { data, x, y, xScale, yScale, heightScale } = this.args;
    return data.map((d) => ({
      x: xScale.compute(d[x]),
      y: yScale.compute(d[y]),
      height: heightScale.compute(d[y]),
    }));
  }
}
