-- Deep Residual Learning for Image Recognition, He et al. 2015, table 1.
-- ResNet-18 11,689,512 parameters, ResNet-50 25,557,032. Names are torchvision's, and so is the stride
-- on the 3x3 of a bottleneck; the paper's is on the first 1x1 (-D v1=true).
local depth   = option{"depth", 50, choices = {18, 34, 50, 101, 152}, help = "layers with weights"}
local classes = option{"classes", 1000, min = 2, help = "number of classes"}
local size    = option{"size", 224, min = 32, help = "height and width of the image"}
local v1      = option{"v1", false, help = "stride on the first 1x1, as the paper has it"}
local blocks  = ({[18] = {2, 2, 2, 2}, [34] = {3, 4, 6, 3}, [50] = {3, 4, 6, 3}, [101] = {3, 4, 23, 3},
                  [152] = {3, 8, 36, 3}})[depth]
local grow    = depth < 50 and 1 or 4

local function conv_bn(x, conv, bn, out, kernel, stride)
  return x:conv(conv, out, {kernel = kernel, stride = stride, pad = kernel // 2, bias = false}):batch_norm(bn)
end

local function block(x, p, width, stride) -- p: where its parameters live, as layer1.0
  local y, out = x, width * grow
  if grow == 1 then
    y = conv_bn(y, p.conv1, p.bn1, width, 3, stride):relu()
    y = conv_bn(y, p.conv2, p.bn2, width, 3, 1)
  else
    y = conv_bn(y, p.conv1, p.bn1, width, 1, v1 and stride or 1):relu()
    y = conv_bn(y, p.conv2, p.bn2, width, 3, v1 and 1 or stride):relu()
    y = conv_bn(y, p.conv3, p.bn3, out, 1, 1)
  end
  if stride > 1 or x.channels ~= out then
    x = conv_bn(x, p.downsample[0], p.downsample[1], out, 1, stride)
  end
  return (y + x):relu()
end

local x, label = image("x", 3, size, size), class("label", classes)
local y = conv_bn(x, param.conv1, param.bn1, 64, 7, 2):relu():max_pool{3, stride = 2, pad = 1}
for stage, n in ipairs(blocks) do
  for i = 0, n - 1 do
    y = block(y, param["layer" .. stage][i], 32 << stage, i == 0 and stage > 1 and 2 or 1)
  end
end
local logits = y:global_avg_pool():flatten():dense(param.fc, classes)
return network{
  output = {logits = logits},
  loss = logits:cross_entropy(label),
  optimizer = sgd{momentum = 0.9, decay = 1e-4},
}
