// SPDX-License-Identifier: MPL-2.0

import { ticks } from 'd3-array';

// What the client count charts need of scales: numbers onto pixels, and a band
// of pixels for each of a set of names.
export class LinearScale {
  isValid = true;

  constructor(domain, range) {
    this.domain = domain;
    this.range = { min: range[0], max: range[1] };
  }

  compute = (value) => {
    const [from, to] = this.domain;
    const { min, max } = this.range;
    return min + ((Number(value) - from) / (to - from)) * (max - min);
  };

  ticks = (count) => ticks(...this.domain, count);
}

export class BandScale {
  isValid = true;

  constructor(domain, range, padding) {
    this.names = [...domain];
    this.range = { min: range[0], max: range[1] };
    const step = (range[1] - range[0]) / Math.max(1, this.names.length + padding);
    this.step = step;
    this.start = range[0] + (range[1] - range[0] - step * (this.names.length - padding)) / 2;
    this.bandwidth = step * (1 - padding);
  }

  compute = (name) => this.start + this.step * this.names.indexOf(name);

  ticks = () => this.names;
}
