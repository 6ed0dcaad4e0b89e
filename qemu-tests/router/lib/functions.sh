# Stands in for OpenWrt's: what packages' scripts call. Recorded in tests/vectors/opkg and described in facts of the
# distribution: a package's own script first, then its services.

# The services of the package whose script is $1.
services_of() {
	package=${1##*/}
	package=${package%%.*}
	info="${IPKG_INSTROOT%/}/usr/lib/opkg/info"
	services=$(grep '^/etc/init.d/' "$info/$package.list")
}

# First settings, by scripts that are gone once they went well; in an image at its first boot (etc/init.d/boot).
uci_defaults() {
	local script
	for script in "$@"; do
		( [ -f "$script" ] && cd "${script%/*}" && . "$script" ) && rm -f "$script"
	done
	uci commit
}

default_postinst() {
	local package info services service result=0
	services_of "$1"
	[ -n "$IPKG_INSTROOT" ] || uci_defaults $(grep '^/etc/uci-defaults/' "$info/$package.list")
	[ -f "$info/$package.postinst-pkg" ] && { ( . "$info/$package.postinst-pkg" ); result=$?; }
	for service in $services; do
		if [ -n "$IPKG_INSTROOT" ]; then
			/bin/sh /etc/rc.common "${IPKG_INSTROOT%/}$service" enable
		else
			[ "$PKG_UPGRADE" = 1 ] || "$service" enable
			"$service" start
		fi
	done
	return $result
}

default_prerm() {
	local package info services service result=0
	services_of "$1"
	[ -f "$info/$package.prerm-pkg" ] && { ( . "$info/$package.prerm-pkg" ); result=$?; }
	for service in $services; do
		[ "$PKG_UPGRADE" = 1 ] || "$service" disable
		"$service" stop
	done
	return $result
}
