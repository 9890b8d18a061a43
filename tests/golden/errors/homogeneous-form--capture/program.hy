(defchor scale [A B] (-> A B B) [factor items]
  (B (lfor item items (* factor item))))
