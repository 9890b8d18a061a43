(defchor größer? [Käufer seller-1 lower_case] (-> Käufer seller-1) [maß]
  (lower_case->seller-1 (Käufer->lower_case maß)))

(defchor ->arrows! [print list None2] (-> print #{list None2}) [x]
  (list=>None2 (print->list x)))
