// SPDX-License-Identifier: MPL-2.0

import Component from '@glimmer/component';

// One bar on top of the other for each value of the field that @color names.
export default class VBars extends Component {
  get bars() {
    const { data, x, y, color, colorScale, xScale, yScale } = this.args;
    const kinds = [...new Set(data.map((d) => d[color]))];
    const top = {};
    return kinds.flatMap((kind, i) =>
      data
        .filter((d) => d[color] === kind)
        .map((d) => {
          const from = top[d[x]] ?? 0;
          const to = (top[d[x]] = from + (d[y] ?? 0));
          const at = yScale.compute(to);
          return {
            x: xScale.compute(d[x]),
            y: at,
            height: yScale.compute(from) - at,
            class: `${colorScale}-${i + 1}`,
          };
        })
    );
  }
}
