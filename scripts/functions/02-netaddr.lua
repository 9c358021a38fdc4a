-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Addresses and CIDR ranges: groups of 16 bits, two of IPv4 and eight of IPv6.

local range_or_nil, address_or_nil

do

local RANGE_MAX = 51		-- IPv6 with dots, in brackets, and /128

local OCTETS = {}		-- as they are written
for n = 0, 255 do
	OCTETS[n .. ''] = n
end

local function parse_ipv4(text)
	local a, b, c, d = string.match(text, '^(%d+)%.(%d+)%.(%d+)%.(%d+)$')
	a, b, c, d = OCTETS[a or ''], OCTETS[b or ''], OCTETS[c or ''],
	    OCTETS[d or '']
	if not (a and b and c and d) then
		return nil
	end
	return { a * 256 + b, c * 256 + d }
end

-- Appends the groups of "db8:0:1", which is hexadecimal digits and colons;
-- false where it is none.
local function add_groups(groups, text)
	if text == '' then
		return true
	end
	local n = #groups
	for word in string.gmatch(text .. ':', '([^:]*):') do
		if word == '' or #word > 4 or n == 8 then
			return false
		end
		n = n + 1
		groups[n] = tonumber(word, 16)
	end
	return true
end

local function parse_ipv6(text)
	if #text > 45 or not string.find(text, '^[%x:.]+$') then
		return nil
	end
	local before, dotted = string.match(text, '^(.*:)([^:]*%.[^:]*)$')
	if before then
		local low = parse_ipv4(dotted)
		if not low then
			return nil
		end
		text = string.format('%s%x:%x', before, low[1], low[2])
	end
	if string.find(text, '.', 1, true) then
		return nil
	end
	local left, right = string.match(text, '^(.-)::(.*)$')
	local groups, behind = {}, {}
	if not left then
		return add_groups(groups, text) and #groups == 8 and groups or
		    nil
	end
	if not add_groups(groups, left) or not add_groups(behind, right) or
	    #groups + #behind > 7 then
		return nil
	end
	while #groups + #behind < 8 do
		groups[#groups + 1] = 0
	end
	for _, group in ipairs(behind) do
		groups[#groups + 1] = group
	end
	return groups
end

-- With or without brackets; only IPv6 has them.
local function parse_address(text)
	local inside = string.match(text, '^%[(.*)%]$')
	if inside then
		return parse_ipv6(inside)
	end
	return parse_ipv4(text) or parse_ipv6(text)
end

local function is_mapped(groups, bits)
	if #groups ~= 8 or bits < 96 or groups[6] ~= 0xffff then
		return false
	end
	for i = 1, 5 do
		if groups[i] ~= 0 then
			return false
		end
	end
	return true
end

local function clear_host_bits(groups, bits)
	for i = 1, #groups do
		local keep = bits - (i - 1) * 16
		if keep <= 0 then
			groups[i] = 0
		elseif keep < 16 then
			groups[i] = groups[i] - groups[i] % 2 ^ (16 - keep)
		end
	end
end

-- Where the longest run of zero groups is, of two at least, and how long; the
-- first of equals.
local function longest_zeros(groups)
	local first, length, run = nil, 1, 0
	for i = 1, #groups do
		run = groups[i] == 0 and run + 1 or 0
		if run > length then
			first, length = i - run + 1, run
		end
	end
	return first, length
end

local function hex(groups, first, last)
	if last < first then
		return ''
	end
	return string.format('%x' .. string.rep(':%x', last - first),
	    unpack(groups, first, last))
end

-- RFC 5952.
local function address_text(groups)
	if #groups == 2 then
		return string.format('%d.%d.%d.%d',
		    math.floor(groups[1] / 256), groups[1] % 256,
		    math.floor(groups[2] / 256), groups[2] % 256)
	end
	local first, length = longest_zeros(groups)
	if not first then
		return hex(groups, 1, 8)
	end
	return hex(groups, 1, first - 1) .. '::' ..
	    hex(groups, first + length, 8)
end

local function range_text(groups, bits)
	if is_mapped(groups, bits) then
		groups, bits = { groups[7], groups[8] }, bits - 96
	end
	if bits == #groups * 16 then
		return address_text(groups)
	end
	clear_host_bits(groups, bits)
	return address_text(groups) .. '/' .. bits
end

-- Lists are long, and what is in them is mostly canonical already.  These find
-- that out quickly, but not of every canonical text.

local is_plain_range
do
	local function is_plain_ipv4(text)
		local a, b, c, d = string.match(text,
		    '^(%d+)%.(%d+)%.(%d+)%.(%d+)$')
		return a and OCTETS[a] and OCTETS[b] and OCTETS[c] and OCTETS[d]
	end

	-- All groups written, or :: for two or more zeros.  No other group is
	-- zero but, perhaps, the last, so that :: could stand nowhere else; the
	-- first is not, so that it is no mapped IPv4.
	local function is_plain_ipv6(text)
		if not string.find(text, '^[1-9a-f][0-9a-f:]*$') or
		    string.find(text, '%x%x%x%x%x') or
		    string.find(text, ':0[%x:]') or
		    string.find(text, '::0') then
			return false
		end
		local _, colons = string.gsub(text, ':', ':')
		local at = string.find(text, '::', 1, true)
		if not at then
			return colons == 7 and not string.find(text, ':$')
		elseif at == #text - 1 then
			return colons <= 7
		end
		return colons <= 6 and not string.find(text, ':$') and
		    not string.find(text, '::', at + 1, true)
	end

	-- Where the prefix length ends between two numbers, and those behind it
	-- are zeros.
	local ZEROS = { ['8'] = '%.0%.0%.0$', ['16'] = '%.0%.0$',
	    ['24'] = '%.0$' }

	local function is_plain_ipv4_range(base, length)
		return ZEROS[length] and string.find(base, ZEROS[length]) and
		    is_plain_ipv4(base)
	end

	-- Groups and ::, none of which the prefix length cuts.
	local function is_plain_ipv6_range(base, length)
		if not string.find(base, '::$') or not is_plain_ipv6(base) or
		    not string.find(length, '^[1-9]%d?%d?$') then
			return false
		end
		local _, colons = string.gsub(base, ':', '')
		local bits = tonumber(length)
		return bits < 128 and (colons - 1) * 16 <= bits
	end

	function is_plain_range(text)
		local slash = string.find(text, '/', 1, true)
		if not slash then
			return is_plain_ipv4(text) or is_plain_ipv6(text)
		end
		local base, length = string.sub(text, 1, slash - 1),
		    string.sub(text, slash + 1)
		return is_plain_ipv4_range(base, length) or
		    is_plain_ipv6_range(base, length)
	end
end

-- The canonical text of an address or a range, or nil.
function range_or_nil(text)
	if #text > RANGE_MAX then
		return nil
	elseif is_plain_range(text) then
		return text
	end
	local base, length = string.match(text, '^([^/]*)/(.*)$')
	local groups = parse_address(base or text)
	if not groups then
		return nil
	end
	local bits = #groups * 16
	if length then
		if #length > 3 or not string.find(length, '^%d+$') or
		    string.find(length, '^0.') or tonumber(length) > bits then
			return nil
		end
		bits = tonumber(length)
	end
	return range_text(groups, bits)
end

function address_or_nil(text)
	if string.find(text, '/', 1, true) then
		return nil
	end
	return range_or_nil(text)
end

function canonical.address(text)
	return address_or_nil(text) or invalid(text, 'not an IPv4 or IPv6 ' ..
	    'address, such as 192.0.2.1 or 2001:db8::1')
end

function canonical.range(text)
	local range = range_or_nil(text)
	if range then
		return range
	end
	local base = string.match(text, '^([^/]*)/')
	local groups = base and parse_address(base)
	if groups then
		invalid(text, 'not a range: the prefix length after the / ' ..
		    'is a number of at most ' .. #groups * 16)
	end
	return invalid(text, 'neither an address nor a range, such as ' ..
	    '192.0.2.1, 2001:db8::1, 192.0.2.0/24 or 2001:db8::/32')
end

end
