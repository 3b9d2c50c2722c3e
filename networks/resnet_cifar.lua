-- Deep Residual Learning for Image Recognition, He et al. 2015, 4.2: 6n + 2 layers for images of 32x32.
-- ResNet-20 269,722 parameters, ResNet-110 1,727,962. Where a block halves the image and doubles the
-- channels, the shortcut takes every other pixel and zeros for the new channels (the paper's option A),
-- or a 1x1 convolution (-D shortcut=B).
local depth    = option{"depth", 20, choices = {20, 32, 44, 56, 110}, help = "layers with weights"}
local classes  = option{"classes", 10, min = 2, help = "number of classes"}
local channels = option{"channels", 3, choices = {1, 3}, help = "of the image: grey or RGB"}
local size     = option{"size", 32, min = 8, help = "height and width of the image"}
local shortcut = option{"shortcut", "A", choices = {"A", "B"}, help = "where the size changes"}

local function conv_bn(x, conv, bn, out, kernel, stride)
  return x:conv(conv, out, {kernel = kernel, stride = stride, pad = kernel // 2, bias = false}):batch_norm(bn)
end

local function block(x, p, width, stride)
  local y = conv_bn(x, p.conv1, p.bn1, width, 3, stride):relu()
  y = conv_bn(y, p.conv2, p.bn2, width, 3, 1)
  if stride > 1 and shortcut == "A" then
    x = x:avg_pool{1, stride = stride}
    x = x:concat(x * 0)
  elseif stride > 1 then
    x = conv_bn(x, p.shortcut[0], p.shortcut[1], width, 1, stride)
  end
  return (y + x):relu()
end

local x, label = image("x", channels, size, size), class("label", classes)
local y = conv_bn(x, param.conv1, param.bn1, 16, 3, 1):relu()
for stage = 1, 3 do
  for i = 0, (depth - 2) // 6 - 1 do
    y = block(y, param["layer" .. stage][i], 8 << stage, i == 0 and stage > 1 and 2 or 1)
  end
end
local logits = y:global_avg_pool():flatten():dense(param.linear, classes)
return network{
  output = {logits = logits},
  loss = logits:cross_entropy(label),
  optimizer = sgd{momentum = 0.9, decay = 1e-4},
}
