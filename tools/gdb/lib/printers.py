# SPDX-License-Identifier: MIT
def register():
    pass
