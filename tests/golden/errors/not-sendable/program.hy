(import klorpy.runtime.wire [encode])
(import pathlib [PurePosixPath])
(encode {"items" [{"name" "tea" "label" (PurePosixPath "tea.svg")}]})
