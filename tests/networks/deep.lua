-- Blocks one behind the other, enough of them that it pays to compute some again: batch norms,
-- residual sums, a pooling, dropout, and a second loss half way.
local x, label = image("x", 3, 8, 9), class("label", 5)

local function conv(x, p, out) return x:conv(p.conv, out, {kernel = 3, pad = 1, bias = false}):batch_norm(p.norm) end

local function block(x, p, out)
  local y = conv(conv(x, p[0], out):relu(), p[1], out)
  return (y + (x.channels == out and x or conv(x, p[2], out))):relu()
end

local y = block(block(x, param.a, 6), param.b, 6)
local half = y:dropout(0.3):global_avg_pool():flatten():dense(param.half, 5)
y = block(block(y:max_pool{2}:dropout(0.2), param.c, 17), param.d, 17)
local scores = y:global_avg_pool():flatten():dense(param.fc, 5)
return network{
  output = {scores = scores},
  loss = scores:cross_entropy(label) + 0.5 * half:cross_entropy(label, {name = "half"}),
  optimizer = sgd{momentum = 0.9},
}
