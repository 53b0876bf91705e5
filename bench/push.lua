-- Pushes images of three layers (1-50 KB) and a config as docker does: POST, PATCH, PUT for each blob, then the manifest.
-- (docker's HEAD before each blob is left out: wrk waits for the body that Content-Length announces.) One connection a
-- thread; every image is new. Arguments: Authorization header ("-" for none), repository.
local ffi = require("ffi")
ffi.cdef [[ unsigned char *SHA256(const unsigned char *d, size_t n, unsigned char *md); ]]
local crypto = ffi.load("crypto.so.3")
local digest_bytes = ffi.new("unsigned char[32]")

local function sha256(text)
  crypto.SHA256(text, #text, digest_bytes)
  local hex = {}
  for i = 0, 31 do hex[#hex + 1] = string.format("%02x", digest_bytes[i]) end
  return "sha256:" .. table.concat(hex)
end

local counter = 0
function setup(thread)
  counter = counter + 1
  thread:set("number", counter)
end

local threads = {}
local old_setup = setup
function setup(thread)
  old_setup(thread)
  threads[#threads + 1] = thread
end

local sizes = { 1024, 20480, 51200 }
local filling = {}
local layer_type = "application/vnd.oci.image.layer.v1.tar"
local config_type = "application/vnd.oci.image.config.v1+json"
local manifest_type = "application/vnd.oci.image.manifest.v1+json"

function init(arguments)
  images, failed, serial = 0, 0, 0
  headers = { ["Content-Type"] = "application/octet-stream" }
  if arguments[1] ~= "-" then headers["Authorization"] = arguments[1] end
  repository = arguments[2]
  math.randomseed(number * 7919 + os.time())
  local run = tostring(math.random(1, 2 ^ 30)) .. "-" .. number
  prefix = run
  for i, size in ipairs(sizes) do filling[i] = string.rep(string.char(64 + i), size - 64) end
  begin_image()
end

function begin_image()
  serial = serial + 1
  blobs = {}
  for i = 1, 4 do
    local stamp = string.format("%-64s", prefix .. "-" .. serial .. "-" .. i)
    local content = i <= 3 and stamp .. filling[i] or '{"architecture":"amd64","os":"linux","x":"' .. stamp .. '"}'
    blobs[i] = { content = content, digest = sha256(content) }
  end
  blob, step = 1, "post"
end

function request()
  local base = "/v2/" .. repository
  if step == "post" then return wrk.format("POST", base .. "/blobs/uploads/", headers, "") end
  if step == "patch" then return wrk.format("PATCH", location, headers, blobs[blob].content) end
  if step == "put" then
    local joint = location:find("?", 1, true) and "&" or "?"
    return wrk.format("PUT", location .. joint .. "digest=" .. blobs[blob].digest, headers, "")
  end
  local layers = {}
  for i = 1, 3 do
    layers[i] = string.format('{"mediaType":"%s","digest":"%s","size":%d}', layer_type, blobs[i].digest, #blobs[i].content)
  end
  local manifest = string.format(
    '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%d},"layers":[%s]}',
    manifest_type, config_type, blobs[4].digest, #blobs[4].content, table.concat(layers, ","))
  local with_type = { ["Content-Type"] = manifest_type, ["Authorization"] = headers["Authorization"] }
  return wrk.format("PUT", base .. "/manifests/" .. prefix .. "-" .. serial, with_type, manifest)
end

local expected = { post = 202, patch = 202, put = 201, manifest = 201 }

function response(status, answer)
  if status ~= expected[step] then
    failed = failed + 1
    begin_image()
    return
  end
  if step == "post" or step == "patch" then
    for name, value in pairs(answer) do
      if name:lower() == "location" then location = value:gsub("^https?://[^/]+", "") end
    end
    step = step == "post" and "patch" or "put"
  elseif step == "put" then
    blob = blob + 1
    step = blob <= 4 and "post" or "manifest"
  else
    images = images + 1
    begin_image()
  end
end

function done(summary)
  local total, bad = 0, 0
  for _, thread in ipairs(threads) do
    total = total + thread:get("images")
    bad = bad + thread:get("failed")
  end
  print(string.format("images=%d failed=%d seconds=%.6f", total, bad, summary.duration / 1e6))
end
