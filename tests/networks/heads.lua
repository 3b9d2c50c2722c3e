-- Few outputs of many channels: one map of 32, three of 20, one number of all; lines as well. Vectors hold parts of
-- sums.
local x, want, s, mask = image("x", 3, 11, 9), input("want", 1), input("s", 24, 13), input("mask", 2, 13)
local y = x:conv(param.stem, 32, {kernel = 3, pad = 1}):relu()
local map = y:conv(param.map, 1, {kernel = 3, pad = 1})
local z = y:conv(param.narrow, 20, {kernel = 1}):relu():conv(param.three, 3, {kernel = 2, stride = 2})
local line = s:conv(param.first, 40, {kernel = 3, pad = "same"}):relu():conv_transpose(param.line, 2, {kernel = 3, pad = 1})
local one = (y:global_avg_pool():flatten()):dense(param.hidden, 64):tanh():dense(param.one, 1)
return network{
  output = {map = map, z = z, line = line, one = one},
  loss = one:mse(want) + line:mse(mask) + 0.1 * map:square():mean() + 0.1 * z:square():mean(),
  optimizer = sgd{momentum = 0.9},
}
