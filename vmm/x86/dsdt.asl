/* SPDX-License-Identifier: MIT */
DefinitionBlock ("", "DSDT", 2, "MINVMM", "MINIVMM ", 0x00000001)
{
}
