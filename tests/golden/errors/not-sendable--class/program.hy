(import klorpy.runtime.wire [encode])
(import dataclasses [dataclass])
(defclass [dataclass] Order []
  #^ str name)
(encode [(Order "tea")])
