-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- JSON, of which cjson makes the odd texts alone.

local json = {}

do

local ODD = 255			-- bytes beyond which a text is odd
local CUT = 64			-- bytes that are shown of those too many

-- The beginning of a text, of ASCII, for the odd one too many.
local function cut(text)
	local rest = #text > CUT and '...' or ''
	return string.gsub(string.sub(text, 1, CUT),
	    '[%c\128-\255]+', '\239\191\189') .. rest
end

-- What is no UTF-8 becomes U+FFFD: cjson would pass it on.  So that nobody
-- holds up Redis with what he has written, only so many are looked at closely.
local function clean(text)
	if #text <= ODD and not string.find(text, '[%c\128-\255]') then
		return text
	end
	if #text > left.exact then
		return cut(text)
	end
	left.exact = left.exact - #text
	if not string.find(text, '[\128-\255]') then
		return text
	end
	local out, at = {}, 1
	while at <= #text do
		local code, after = code_at(text, at)
		out[#out + 1] = code and string.sub(text, at, after - 1) or
		    '\239\191\189'
		at = code and after or at + 1
	end
	return table.concat(out)
end

function json.text(text)
	if not text then
		return 'null'
	elseif #text <= ODD and
	    not string.find(text, '[%c"\\\128-\255]') then
		return '"' .. text .. '"'
	end
	return (string.gsub(cjson.encode(clean(text)), '\\/', '/'))
end

function json.list(texts)
	local out = {}
	for i, text in ipairs(texts) do
		out[i] = json.text(text)
	end
	return '[' .. table.concat(out, ',') .. ']'
end

-- An object of names and JSON, in pairs.
function json.object(pairs_of)
	local out = {}
	for i = 1, #pairs_of, 2 do
		out[#out + 1] = json.text(pairs_of[i]) .. ':' .. pairs_of[i + 1]
	end
	return '{' .. table.concat(out, ',') .. '}'
end

end
