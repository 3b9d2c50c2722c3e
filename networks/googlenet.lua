-- Going Deeper with Convolutions, Szegedy et al. 2014, table 1: 22 layers, nine inception modules, and two
-- auxiliary classifiers that are there in training only (their losses count 0.3 each).
-- -D variant=torchvision is what torchvision has under this name: batch norms, 3x3 where the paper has 5x5,
-- dropout of 0.2; 6,624,904 parameters, with the auxiliary classifiers 13,004,888. Names are torchvision's
-- in both.
local variant = option{"variant", "paper", choices = {"paper", "torchvision"}}
local classes = option{"classes", 1000, min = 2, help = "number of classes"}
local paper   = variant == "paper"
local size    = option{"size", 224, min = paper and 79 or 32, help = "height and width of the image"}

local function conv(x, p, out, kernel, stride, pad)
  local o = {kernel = kernel, stride = stride or 1, pad = pad or kernel // 2, bias = paper}
  local y = x:conv(p.conv, out, o)
  if not paper then y = y:batch_norm(p.bn, {eps = 0.001}) end
  return y:relu()
end

-- Four branches side by side: 1x1; 1x1 and 3x3; 1x1 and 5x5; pooling and 1x1.
local function inception(x, p, one, reduce3, three, reduce5, five, pool)
  local a = conv(x, p.branch1, one, 1)
  local b = conv(conv(x, p.branch2[0], reduce3, 1), p.branch2[1], three, 3)
  local c = conv(conv(x, p.branch3[0], reduce5, 1), p.branch3[1], five, paper and 5 or 3)
  local d = conv(x:max_pool{3, stride = 1, pad = 1}, p.branch4[1], pool, 1)
  return a:concat(b, c, d)
end

local function auxiliary(x, p)
  local y = paper and x:avg_pool{5, stride = 3} or x:adaptive_avg_pool{4}
  y = conv(y, p.conv, 128, 1):flatten():dense(p.fc1, 1024):relu():dropout(0.7)
  return y:dense(p.fc2, classes)
end

local x, label = image("x", 3, size, size), class("label", classes)
local function pool(x, kernel) return x:max_pool{kernel, stride = 2, ceil = true} end
local function normal(x) return paper and x:lrn{5, alpha = 1e-4, beta = 0.75, k = 1} or x end

local y = normal(pool(conv(x, param.conv1, 64, 7, 2), 3))
y = conv(y, param.conv2, 64, 1)
y = pool(normal(conv(y, param.conv3, 192, 3)), 3)
y = inception(y, param.inception3a, 64, 96, 128, 16, 32, 32)
y = pool(inception(y, param.inception3b, 128, 128, 192, 32, 96, 64), 3)
y = inception(y, param.inception4a, 192, 96, 208, 16, 48, 64)
local first = auxiliary(y, param.aux1)
y = inception(y, param.inception4b, 160, 112, 224, 24, 64, 64)
y = inception(y, param.inception4c, 128, 128, 256, 24, 64, 64)
y = inception(y, param.inception4d, 112, 144, 288, 32, 64, 64)
local second = auxiliary(y, param.aux2)
y = pool(inception(y, param.inception4e, 256, 160, 320, 32, 128, 128), paper and 3 or 2)
y = inception(y, param.inception5a, 256, 160, 320, 32, 128, 128)
y = inception(y, param.inception5b, 384, 192, 384, 48, 128, 128)
local logits = y:global_avg_pool():flatten():dropout(paper and 0.4 or 0.2):dense(param.fc, classes)
return network{
  output = {logits = logits},
  loss = logits:cross_entropy(label) + 0.3 * first:cross_entropy(label, {name = "auxiliary1"})
    + 0.3 * second:cross_entropy(label, {name = "auxiliary2"}),
  optimizer = sgd{momentum = 0.9, decay = 2e-4},
}
