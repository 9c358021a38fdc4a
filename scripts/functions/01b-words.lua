-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Values.  canonical.KIND(TEXT) is the one way to write the value, or the error
-- INVALID, which says what is wrong and what would be right.  What the relay
-- refuses to read is refused here.
--
-- This part: words and text.

local MODES = { 'default', 'all', 'any' }
local FLAGS = { '0', '1' }
local OVERS = { 'defer', 'reject', 'sandbox' }
local STATUSES = { 'allowed', 'blocked', 'sandboxed' }

local code_at, is_unprintable

do

local DESCRIPTION_MAX = 1024

-- Characters

-- The code point at a byte, and where the next one begins; nil where there is
-- no UTF-8.
function code_at(text, at)
	local byte = string.byte(text, at)
	local more, code, least
	if byte < 0x80 then
		return byte, at + 1
	elseif byte >= 0xc2 and byte <= 0xdf then
		more, code, least = 1, byte - 0xc0, 0x80
	elseif byte >= 0xe0 and byte <= 0xef then
		more, code, least = 2, byte - 0xe0, 0x800
	elseif byte >= 0xf0 and byte <= 0xf4 then
		more, code, least = 3, byte - 0xf0, 0x10000
	else
		return nil
	end
	for i = at + 1, at + more do
		byte = string.byte(text, i)
		if not byte or byte < 0x80 or byte > 0xbf then
			return nil
		end
		code = code * 64 + byte - 0x80
	end
	if code < least or code > 0x10ffff or
	    (code >= 0xd800 and code <= 0xdfff) then
		return nil
	end
	return code, at + more + 1
end

-- All code points of a text, or nil.
local function codes_of(text)
	local codes, at, code = {}, 1, nil
	while at <= #text do
		code, at = code_at(text, at)
		if not code then
			return nil
		end
		codes[#codes + 1] = code
	end
	return codes
end

local UNPRINTABLE = {
	{ 0x00, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad },
	{ 0x600, 0x605 }, { 0x61c, 0x61c }, { 0x6dd, 0x6dd },
	{ 0x70f, 0x70f }, { 0x180e, 0x180e }, { 0x200b, 0x200f },
	{ 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xe000, 0xf8ff },
	{ 0xfdd0, 0xfdef }, { 0xfeff, 0xfeff }, { 0xfff0, 0xfffb },
	{ 0xe0000, 0xe0fff }, { 0xf0000, 0x10ffff },
}

-- Whether a code point has no place in one line of text for people: controls,
-- what is invisible or turns the direction, and what is nobody's character.
function is_unprintable(code)
	if code % 0x10000 >= 0xfffe then
		return true
	end
	for _, range in ipairs(UNPRINTABLE) do
		if code >= range[1] and code <= range[2] then
			return true
		end
	end
	return false
end

-- Words

local function one_of(text, words)
	for _, word in ipairs(words) do
		if text == word then
			return text
		end
	end
	return invalid(text, 'not one of ' .. table.concat(words, ', '))
end

function canonical.mode(text)
	return one_of(text, MODES)
end

function canonical.status(text)
	return one_of(text, STATUSES)
end

function canonical.over(text)
	return one_of(text, OVERS)
end

function canonical.flag(text)
	return one_of(text, FLAGS)
end

function canonical.plan(text)
	if #text > 32 or not string.find(text, '^[a-z0-9][a-z0-9._-]*$') then
		invalid(text, 'not a plan: pro, or another word of 1 to 32 ' ..
		    'of a-z 0-9 . _ -')
	end
	return text
end

local function name_of(text, what)
	local name = #text <= 64 and string.lower(text)
	if not name or not string.find(name, '^[a-z0-9][a-z0-9._+-]*$') then
		invalid(text, 'not ' .. what .. ': 1 to 64 of a-z 0-9 . ' ..
		    '_ + -, the first a letter or digit')
	end
	return name
end

function canonical.name(text)
	return name_of(text, 'a user name')
end

function canonical.account(text)
	return name_of(text, 'an account name')
end

function canonical.prefix(text)
	return name_of(text, 'the beginning of a user name')
end

function canonical.description(text)
	if #text <= DESCRIPTION_MAX and
	    not string.find(text, '[%c\128-\255]') then
		return text
	end
	local codes = #text <= DESCRIPTION_MAX and codes_of(text)
	for _, code in ipairs(codes or {}) do
		if is_unprintable(code) then
			codes = nil
			break
		end
	end
	if not codes then
		fail('INVALID', 'description: not a single line of at most ' ..
		    DESCRIPTION_MAX .. ' bytes of UTF-8')
	end
	return text
end

-- What most records have of these is the same.
local COMMON = { 'mode', 'status', 'over', 'flag', 'plan' }
for i = 1, #COMMON do
	canonical[COMMON[i]] = remembering(canonical[COMMON[i]])
end

end
