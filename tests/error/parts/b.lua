include "parts/a.lua"
