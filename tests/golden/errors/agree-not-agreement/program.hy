(defchor same [A B] (-> [A B] #{A B}) [both]
  (agree! both))
