(defchor first [A B C] (-> [A #{B C}] A) [[x _]]
  x)
