-- expect: :3: error: the pattern '.-.-.-.-.-x' may take too long on 5000 characters
local s = string.rep("a", 5000)
local found = s:find(".-.-.-.-.-x")
