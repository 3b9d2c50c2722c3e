-- expect: :2: error: include '../networks/toy.lua': the name must lead below the folder of
include "../networks/toy.lua"
