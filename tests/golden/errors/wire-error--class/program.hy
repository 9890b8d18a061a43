(import klorpy)
(import klorpy.runtime.wire [decode encode])
(import dataclasses [dataclass])
(defclass [klorpy.register dataclass] Order []
  #^ str name)
(setv sent (encode (Order "tea")))
(defclass [klorpy.register dataclass] Order []
  #^ str name
  #^ int price)
(decode sent)
