-- Rethinking the Inception Architecture for Computer Vision, Szegedy et al. 2015: factorised convolutions
-- (n x 1 behind 1 x n), and grids made smaller in two branches at once. Names are torchvision's.
-- 27,161,264 parameters with the auxiliary classifier, which is there in training only, 23,834,568 without.
-- Images below 299 leave no room for it: then there is none. It normalises one number a channel: training
-- takes two images or more (-b train=2).
local classes = option{"classes", 1000, min = 2, help = "number of classes"}
local size    = option{"size", 299, min = 75, help = "height and width of the image"}

local function conv(x, p, out, kernel, o)
  o = o or {}
  local y = x:conv(p.conv, out, {kernel = kernel, stride = o.stride or 1, pad = o.pad or 0, bias = false})
  return y:batch_norm(p.bn, {eps = 0.001}):relu()
end
-- 1 x n and n x 1, which keep the size.
local function wide(x, p, out, n) return conv(x, p, out, {1, n}, {pad = {0, n // 2}}) end
local function tall(x, p, out, n) return conv(x, p, out, {n, 1}, {pad = {n // 2, 0}}) end
local function same(x, p, out, n) return conv(x, p, out, n, {pad = n // 2}) end

-- 35x35: figure 5.
local function module_a(x, p, pool)
  local a = conv(x, p.branch1x1, 64, 1)
  local b = same(conv(x, p.branch5x5_1, 48, 1), p.branch5x5_2, 64, 5)
  local c = same(conv(x, p.branch3x3dbl_1, 64, 1), p.branch3x3dbl_2, 96, 3)
  c = same(c, p.branch3x3dbl_3, 96, 3)
  return a:concat(b, c, conv(x:avg_pool{3, stride = 1, pad = 1}, p.branch_pool, pool, 1))
end

-- 35x35 to 17x17: figure 10.
local function module_b(x, p)
  local a = conv(x, p.branch3x3, 384, 3, {stride = 2})
  local b = same(conv(x, p.branch3x3dbl_1, 64, 1), p.branch3x3dbl_2, 96, 3)
  b = conv(b, p.branch3x3dbl_3, 96, 3, {stride = 2})
  return a:concat(b, x:max_pool{3, stride = 2})
end

-- 17x17: figure 6, n = 7.
local function module_c(x, p, width)
  local a = conv(x, p.branch1x1, 192, 1)
  local b = wide(conv(x, p.branch7x7_1, width, 1), p.branch7x7_2, width, 7)
  b = tall(b, p.branch7x7_3, 192, 7)
  local c = tall(conv(x, p.branch7x7dbl_1, width, 1), p.branch7x7dbl_2, width, 7)
  c = tall(wide(c, p.branch7x7dbl_3, width, 7), p.branch7x7dbl_4, width, 7)
  c = wide(c, p.branch7x7dbl_5, 192, 7)
  return a:concat(b, c, conv(x:avg_pool{3, stride = 1, pad = 1}, p.branch_pool, 192, 1))
end

-- 17x17 to 8x8.
local function module_d(x, p)
  local a = conv(conv(x, p.branch3x3_1, 192, 1), p.branch3x3_2, 320, 3, {stride = 2})
  local b = wide(conv(x, p.branch7x7x3_1, 192, 1), p.branch7x7x3_2, 192, 7)
  b = conv(tall(b, p.branch7x7x3_3, 192, 7), p.branch7x7x3_4, 192, 3, {stride = 2})
  return a:concat(b, x:max_pool{3, stride = 2})
end

-- 8x8: figure 7, branches that part in two.
local function module_e(x, p)
  local a = conv(x, p.branch1x1, 320, 1)
  local b = conv(x, p.branch3x3_1, 384, 1)
  b = wide(b, p.branch3x3_2a, 384, 3):concat(tall(b, p.branch3x3_2b, 384, 3))
  local c = same(conv(x, p.branch3x3dbl_1, 448, 1), p.branch3x3dbl_2, 384, 3)
  c = wide(c, p.branch3x3dbl_3a, 384, 3):concat(tall(c, p.branch3x3dbl_3b, 384, 3))
  return a:concat(b, c, conv(x:avg_pool{3, stride = 1, pad = 1}, p.branch_pool, 192, 1))
end

local function auxiliary(x, p)
  local y = conv(conv(x:avg_pool{5, stride = 3}, p.conv0, 128, 1), p.conv1, 768, 5)
  return y:global_avg_pool():flatten():dense(p.fc, classes)
end

local x, label = image("x", 3, size, size), class("label", classes)
local y = conv(x, param.Conv2d_1a_3x3, 32, 3, {stride = 2})
y = same(conv(y, param.Conv2d_2a_3x3, 32, 3), param.Conv2d_2b_3x3, 64, 3):max_pool{3, stride = 2}
y = conv(conv(y, param.Conv2d_3b_1x1, 80, 1), param.Conv2d_4a_3x3, 192, 3):max_pool{3, stride = 2}
y = module_a(y, param.Mixed_5b, 32)
y = module_a(y, param.Mixed_5c, 64)
y = module_a(y, param.Mixed_5d, 64)
y = module_b(y, param.Mixed_6a)
y = module_c(y, param.Mixed_6b, 128)
y = module_c(y, param.Mixed_6c, 160)
y = module_c(y, param.Mixed_6d, 160)
y = module_c(y, param.Mixed_6e, 192)
local aux = size >= 299 and auxiliary(y, param.AuxLogits)
y = module_d(y, param.Mixed_7a)
y = module_e(y, param.Mixed_7b)
y = module_e(y, param.Mixed_7c)
local logits = y:global_avg_pool():flatten():dropout(0.5):dense(param.fc, classes)
local loss = logits:cross_entropy(label, {smoothing = 0.1})
if aux then loss = loss + 0.4 * aux:cross_entropy(label, {name = "auxiliary", smoothing = 0.1}) end
return network{
  output = {logits = logits},
  loss = loss,
  optimizer = sgd{momentum = 0.9, decay = 4e-5},
}
