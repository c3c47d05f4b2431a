// SPDX-License-Identifier: MPL-2.0

// The part of the API client that is the same for every method. The table of
// methods is generated beside it by scripts/uisource.

export class Configuration {
  constructor(options = {}) {
    this.basePath = options.basePath || '';
    this.middleware = options.middleware || [];
    this.fetchApi = options.fetchApi || ((...args) => fetch(...args));
  }
}

export class ResponseError extends Error {
  constructor(response, message) {
    super(message);
    this.name = 'ResponseError';
    this.response = response;
  }
}

const fail = (name, message) => Object.assign(new Error(message), { name });

function queryString(query) {
  const pairs = [];
  const add = (key, value) => {
    if (Array.isArray(value)) value.forEach((item) => pairs.push([key, item]));
    else if (value instanceof Date) pairs.push([key, value.toISOString()]);
    else if (value instanceof Object) Object.keys(value).forEach((k) => add(`${key}[${k}]`, value[k]));
    else pairs.push([key, value]);
  };
  Object.keys(query).forEach((key) => add(key, query[key]));
  return pairs.map((pair) => pair.map((part) => encodeURIComponent(String(part))).join('=')).join('&');
}

// A shape names the fields that the OpenAPI document has for a body or an
// answer: only these pass. convert is called for each, with whether it is a
// time, which is a date on our side. '*' lets all others pass too.
function shaped(value, shape, convert) {
  if (value === null || value === undefined || shape === null) return value;
  const out = shape['*'] ? { ...value } : {};
  for (const key of Object.keys(shape)) {
    if (key !== '*') out[key] = convert(value[key], shape[key]);
  }
  return out;
}

const toWire = (value, isTime) => (isTime ? value?.toISOString() : value);
const fromWire = (value, isTime) => (isTime && value ? new Date(value) : value ?? undefined);

async function send(configuration, url, init) {
  let request = { url, init };
  for (const { pre } of configuration.middleware) {
    if (pre) request = (await pre({ fetch: configuration.fetchApi, ...request })) || request;
  }
  let response;
  try {
    response = await configuration.fetchApi(request.url, request.init);
  } catch (cause) {
    throw Object.assign(fail('FetchError', `The request failed: ${cause.message}`), { cause });
  }
  for (const { post } of configuration.middleware) {
    if (post) {
      const context = { fetch: configuration.fetchApi, ...request, response: response.clone() };
      response = (await post(context)) || response;
    }
  }
  if (response.status < 200 || response.status > 299) {
    throw new ResponseError(response, 'Response returned an error code');
  }
  return response;
}

// method makes one method of an API class: required arguments first, as the
// table has them, then optional ones, then what to override of fetch's init.
// An argument is the body (''), a header (':name'), a part of the path or a
// query parameter.
function method(name, [verb, path, args, required, body, answer]) {
  return async function (...values) {
    const overrides = values[args.length];
    const query = {};
    const headers = {};
    let url = path;
    let content;
    args.forEach((arg, i) => {
      const value = values[i];
      if (i < required && (value === null || value === undefined)) {
        throw fail(
          'RequiredError',
          `Required parameter "${arg || 'body'}" was null or undefined when calling ${name}().`
        );
      }
      if (arg === '') {
        content = shaped(value, body, toWire);
        headers['Content-Type'] = 'application/json';
      } else if (path.includes(`{${arg}}`)) {
        url = url.replace(`{${arg}}`, () => encodeURIComponent(String(value).replace(/\/+$/, '')));
      } else if (value === null || value === undefined) return;
      else if (arg[0] === ':') headers[arg.slice(1)] = String(value);
      else query[arg] = value;
    });

    const context = { path: url.replace(/\/\/+/g, '/'), method: verb, headers, query, body: content };
    let init = { method: verb, headers: { ...headers }, body: content, credentials: undefined };
    const more = typeof overrides === 'function' ? await overrides({ init, context }) : overrides;
    init = { ...init, ...more };
    if (args.includes('')) init.body = JSON.stringify(init.body);
    const { basePath } = this.configuration;
    const search = context.query && Object.keys(context.query).length ? `?${queryString(context.query)}` : '';
    const response = await send(this.configuration, basePath + context.path + search, init);

    if (answer !== undefined) return shaped((await response.json()).data, answer, fromWire);
    try {
      return await response.json();
    } catch (e) {
      return {};
    }
  };
}

export function api(methods) {
  function Api(configuration) {
    this.configuration = configuration;
  }
  for (const name of Object.keys(methods)) Api.prototype[name] = method(name, methods[name]);
  return Api;
}

// absent makes a method that the server's document does not have.
export function absent(Api, name) {
  Api.prototype[name] = async () => {
    throw new Error(`${name} is not in the API of this server`);
  };
}
