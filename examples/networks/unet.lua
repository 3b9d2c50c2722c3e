-- U-Net: Convolutional Networks for Biomedical Image Segmentation, Ronneberger, Fischer, Brox 2015: down by
-- pooling, up again by transposed convolutions, and what was seen on the way down beside it. Differs in that
-- convolutions keep the size ("same" pads), so that nothing is cropped, and are followed by batch norm.
-- The paper's has depth 4 and width 64. `mask` is 1 where the object is, and `logits` are above 0 there.
local size  = option{"size", 64, min = 8, help = "height and width of the image; 2^depth divides it"}
local depth = option{"depth", 2, min = 1, max = 6, help = "how often the size is halved"}
local width = option{"width", 12, min = 1, help = "channels at full size; twice as many with each halving"}
if size % (1 << depth) ~= 0 then error("size " .. size .. " cannot be halved " .. depth .. " times") end

local x, mask = image("x", 1, size, size), image("mask", 1, size, size)

local function conv_bn(x, p, out)
  return x:conv(p.conv, out, {kernel = 3, pad = "same", bias = false}):batch_norm(p.bn):relu()
end
local function two(x, p, out) return conv_bn(conv_bn(x, p[0], out), p[1], out) end

local y, skip = x, {}
for i = 0, depth - 1 do
  skip[i] = two(y, param.down[i], width << i)
  y = skip[i]:max_pool{2}
end
y = two(y, param.bottom, width << depth)
for i = depth - 1, 0, -1 do
  y = y:conv_transpose(param.up[i].grow, width << i, {kernel = 2, stride = 2})
  y = two(skip[i]:concat(y), param.up[i], width << i)
end

-- The logistic loss of each pixel, -log of the probability that was given to what the mask says, in a form
-- without overflow.
local logits = y:conv(param.out, 1, {kernel = 1})
local loss   = (logits:relu() - logits * mask + ((-logits:abs()):exp() + 1):log()):mean()
return network{output = {logits = logits}, loss = loss, optimizer = adam{}}
