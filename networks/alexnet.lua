-- ImageNet Classification with Deep Convolutional Neural Networks, Krizhevsky et al. 2012.
-- The original in two paths, 60,965,224 parameters: groups = 2 is a path each; the third convolution
-- and the dense layers see both. Names are those of Caffe's weights. Normalisation stands behind the
-- first two poolings; the paper and Caffe have it before them (-D lrn=before), Caffe with k = 1 and alpha
-- divided by the window (-D constants=caffe). -D variant=torchvision is the network in one path of "One
-- weird trick", Krizhevsky 2014, as torchvision has it: 61,100,840 parameters and their names, for images
-- of any size; the original's first dense layer has as many weights as its images' size asks for.
local variant   = option{"variant", "original", choices = {"original", "torchvision"}}
local classes   = option{"classes", 1000, min = 2, help = "number of classes"}
local size      = option{"size", 224, min = 63, help = "height and width of the image"}
local lrn       = option{"lrn", "after", choices = {"after", "before"}, help = "the pooling"}
local constants = option{"constants", "paper", choices = {"paper", "caffe"}, help = "of the normalisation"}

local x, label = image("x", 3, size, size), class("label", classes)
local y

local function pool(x)
  local function normal(x)
    return constants == "paper" and x:lrn{5, alpha = 1e-4, beta = 0.75, k = 2, paper = true}
      or x:lrn{5, alpha = 1e-4, beta = 0.75, k = 1}
  end
  if lrn == "before" then return normal(x):max_pool{3, stride = 2} end
  return normal(x:max_pool{3, stride = 2})
end

if variant == "original" then
  y = pool(x:conv(param.conv1, 96, {kernel = 11, stride = 4, pad = 3}):relu())
  y = pool(y:conv(param.conv2, 256, {kernel = 5, pad = 2, groups = 2}):relu())
  y = y:conv(param.conv3, 384, {kernel = 3, pad = 1}):relu()
  y = y:conv(param.conv4, 384, {kernel = 3, pad = 1, groups = 2}):relu()
  y = y:conv(param.conv5, 256, {kernel = 3, pad = 1, groups = 2}):relu():max_pool{3, stride = 2}
  y = y:flatten():dense(param.fc6, 4096):relu():dropout(0.5)
  y = y:dense(param.fc7, 4096):relu():dropout(0.5)
  y = y:dense(param.fc8, classes)
else
  local features, classifier = param.features, param.classifier
  y = x:conv(features[0], 64, {kernel = 11, stride = 4, pad = 2}):relu():max_pool{3, stride = 2}
  y = y:conv(features[3], 192, {kernel = 5, pad = 2}):relu():max_pool{3, stride = 2}
  y = y:conv(features[6], 384, {kernel = 3, pad = 1}):relu()
  y = y:conv(features[8], 256, {kernel = 3, pad = 1}):relu()
  y = y:conv(features[10], 256, {kernel = 3, pad = 1}):relu():max_pool{3, stride = 2}
  if y.height ~= 6 then y = y:adaptive_avg_pool{6} end -- weights are those of any size
  y = y:flatten():dropout(0.5):dense(classifier[1], 4096):relu()
  y = y:dropout(0.5):dense(classifier[4], 4096):relu():dense(classifier[6], classes)
end
return network{
  output = {logits = y},
  loss = y:cross_entropy(label),
  optimizer = sgd{momentum = 0.9, decay = 5e-4},
}
